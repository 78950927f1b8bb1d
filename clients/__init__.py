"""The clients of a TAXII server, which know it over the wire only."""
