"""What becomes of published objects and stored data: expiry, revocation, purge, retention."""
