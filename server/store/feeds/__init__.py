"""Feeds as logs with positions: reading, writing, packing, views."""
