"""Looks at any TAXII 2.1 server from outside and says what it does not keep of the standard.

A client over the wire and nothing else: this package knows no other of ours,
least of all the server that it judges.  A check is one small function in
`checks/`; what it may ask of the server is in `server.py`.
"""
