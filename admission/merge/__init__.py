"""When two reports are the same thing, and what all reports of one thing say together."""
