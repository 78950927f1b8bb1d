"""Indicator patterns: the STIX grammar, one canonical form, and other pattern languages."""
