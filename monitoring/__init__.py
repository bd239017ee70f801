"""What operators watch, made from the code's own names: `python -m monitoring` writes the files."""
