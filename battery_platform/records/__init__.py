"""What factories and labs hand in: forms, the public catalogue, a synthetic plant.

A file goes `reading` (bytes to text cells) -> `mapping` (whose cell is which column) ->
`parsing` (text to typed values) -> contracts -> `store.commit`. `ingest` walks that way.
"""
