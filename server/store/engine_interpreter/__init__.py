"""The folder that the embedded engine's interpreter loads its settings from."""
