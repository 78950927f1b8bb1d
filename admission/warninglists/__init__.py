"""Warning lists: values known to be harmless, in a compact index."""
