"""The program `tocsin`, as it is installed."""

from tocsin.config.program import run_program


def main() -> int:
    """Run the command and return its exit code."""
    return run_program("tocsin.clients.cli.main")
