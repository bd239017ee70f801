"""The commands of `intentstream`, one module each; `streams/cli.py` loads them when they are called."""
