"""The checks, one file for each group of sections."""
