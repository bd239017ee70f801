"""Dashboards, alert rules and their documentation, generated from the code: `python -m monitoring` writes the files."""
