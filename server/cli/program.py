"""The program `tocsin-hub`, as it is installed."""

from tocsin.config.program import run_program


def main() -> int:
    """Run the command and return its exit code."""
    return run_program("tocsin.server.cli.main")
