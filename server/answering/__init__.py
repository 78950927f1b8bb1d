"""Answer requests in processes of their own, apart from the one that admits."""
