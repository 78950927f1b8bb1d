"""Shared by the processes of a hub: counters, limits and locks, signals, rules of an event loop."""
