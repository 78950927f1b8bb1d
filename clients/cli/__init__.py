"""`tocsin`, the command of partners and analysts."""
