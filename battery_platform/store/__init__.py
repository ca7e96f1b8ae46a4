"""The lakehouse: connections, transactions, snapshots, upkeep, export and provenance.

Tables are defined in `contracts`; what is put into them is decided elsewhere.
"""
