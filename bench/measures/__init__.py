"""The measures of bench/quality, each a module."""
