"""A copy of feeds in one SQLite file, from which the output formats are written.

The clients keep one for `tocsin poll --mirror`, the hub one for each feed that is fetched under
`/export/`.  Knows neither the network nor where the objects come from.
"""
