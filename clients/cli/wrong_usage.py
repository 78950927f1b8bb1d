"""The error about a command line that cannot be followed."""


class WrongUsage(Exception):
    """The command line asks for the impossible; the text says what to give instead."""
