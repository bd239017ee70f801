"""Numeric loops on the path of an event, compiled by numba. They are deterministic and run without the GIL."""
