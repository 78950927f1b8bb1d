"""The hub: a TAXII 2.1 server that admits, merges and redistributes."""
