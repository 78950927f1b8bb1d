"""What talks to a hub, over the wire only."""
