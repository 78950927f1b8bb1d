"""Partners: their records, accounts, people, agreements and data."""
