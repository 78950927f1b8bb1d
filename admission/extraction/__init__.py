"""Shared by the input formats: decoding files, finding values, building indicators."""
