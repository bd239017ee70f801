"""The type of a display of progress. `training.commands.progress` has the display."""

from __future__ import annotations

from collections.abc import Callable

StartPhase = Callable[[str, int], Callable[[int], None]]
"""Starts the progress display of a phase, with its name and size. The function that it returns advances the display."""
