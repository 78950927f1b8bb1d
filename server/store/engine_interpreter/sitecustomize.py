"""Settings of the interpreter in which the embedded engine runs; Python loads this by its name.

A thread of the engine that computes lets another one run after 1 ms, not 5: so short look-ups,
which every poll needs, do not wait for the long ones of pages in the console.
"""

import sys

sys.setswitchinterval(0.001)
