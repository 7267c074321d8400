"""`python -m gptlib` is the command `gptlib`."""

from gptlib.cli import main

main()
