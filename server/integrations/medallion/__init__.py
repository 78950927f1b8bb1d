"""medallion: import its collections, or serve the hub's feeds through it."""
