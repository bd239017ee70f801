"""`python -m streams` is the `intentstream` command."""

from streams.cli import main

main()
