"""Merging: many reports of one thing become one public object (docs/merging.md).

When are two reports the same?        `identity`
Whose name and description win?       `content`
Which sources are independent?        `sources`
How is confidence worked out?         `confidence`
What do sightings and opinions count? `statistics`
What does the hub itself state?       `statistics`
"""
