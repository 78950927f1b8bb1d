"""`python -m tocsin.clients` runs the command `tocsin`."""

import sys

from tocsin.clients.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
