"""The clients of a TAXII 2.1 server: check, push and poll.  They know it over the wire only."""
