"""What factories and labs hand in: forms, exports of instruments, the public catalogue.

A file goes through `reading` (bytes to text cells), `mapping` (which cell belongs to which column),
`parsing` (text to typed values), the contracts and `store.commit`; `ingest` leads it along that
way. Made-up data belong in `synthetic`, computed results with the domain that computes them.
"""
