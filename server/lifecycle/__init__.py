"""The later life of published objects and stored data: expiry, revocation, purge, retention."""
