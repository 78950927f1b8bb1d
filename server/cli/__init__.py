"""tocsin-hub: the operator's commands."""
