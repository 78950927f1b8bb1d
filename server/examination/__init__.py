"""Examine submissions by the pipeline of admission, here or in worker processes."""
