"""Compiled loops: the numeric work of an event's path, by numba. Deterministic; they run without the GIL."""
