"""What factories and labs hand in: forms, exports of instruments, the public catalogue.

A file goes `reading` (bytes to text cells) -> `mapping` (whose cell is which column) ->
`parsing` (text to typed values) -> contracts -> `store.commit`. `ingest` walks that way.
"""
