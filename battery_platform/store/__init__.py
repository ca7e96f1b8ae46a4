"""The lakehouse: connections, transactions, snapshots, upkeep, export and provenance.

Tables come from `contracts`; what is put into them is decided elsewhere.
"""
