"""What people look at: search, the report on an object, its receivers, statistics."""
