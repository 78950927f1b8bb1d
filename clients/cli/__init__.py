"""tocsin: the commands of partners and analysts."""
