"""Settings: hub.toml, client.toml, policy.toml, and how they are read.

Loads nothing itself: the two programs begin with a module of this package (`program`).
"""
