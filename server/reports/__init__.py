"""Reports for people: search, the report on an object, its receivers, statistics."""
