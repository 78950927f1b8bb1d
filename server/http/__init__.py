"""The HTTP server in front of the application: sockets, parsing, TLS."""
