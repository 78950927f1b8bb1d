"""`python -m tocsin.clients` is the command `tocsin`."""

import sys

from tocsin.clients.cli import main

sys.exit(main())
