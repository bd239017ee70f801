"""The types of a display of progress. `training.commands.output` has the display."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int], None]
"""Advances a display by a number of steps."""
StartPhase = Callable[[str, int], Progress]
"""Starts the progress display of a phase, with its name and size. The function that it returns advances the display."""


def no_progress(_steps: int) -> None:
    """Show no progress."""
