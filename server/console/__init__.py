"""The console: web pages for the people who share, decide and run a hub."""
