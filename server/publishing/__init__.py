"""Admitted objects become public objects."""
