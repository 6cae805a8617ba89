//! The ledger on local segment files, and the read model in SQLite.
