"""Other products whose data or interfaces the hub supports."""
