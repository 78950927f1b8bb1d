"""What the processes of a hub share: counters, limits and locks, signals, an event loop's rules."""
