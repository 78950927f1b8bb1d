"""Detectors: each finds one kind of personal or private data in a text."""
