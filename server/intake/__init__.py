"""A submission from receipt to settlement: receive, evaluate, review."""
