"""Progress of the phases of a command on standard error: share, rate, elapsed time and time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from training.phases import StartPhase

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def phases() -> Iterator[StartPhase]:
    """Show the progress of each phase.

    The time left is that of the phase, at the rate of its last half minute. It is honest if all units of a phase cost
    about the same, so work of another cost is a phase of its own.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    name, rate = TextColumn("{task.description:<24}"), TextColumn("{task.fields[rate]}")
    columns = (
        name, BarColumn(), MofNCompleteColumn(), rate, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def start_phase(phase: str, total: int) -> Callable[[int], None]:
            _finish(progress)
            task = progress.add_task(phase, total=total or None, rate="")

            def advance(steps: int) -> None:
                speed = progress.tasks[-1].finished_speed or progress.tasks[-1].speed
                progress.update(task, advance=steps, rate=f"{speed:,.0f}/s" if speed else "")

            return advance

        yield start_phase
        _finish(progress)


def _finish(progress: Progress) -> None:
    """Complete the bars: steps are reported in groups, and an incomplete last group is not."""
    for task in progress.tasks:
        if not task.finished:
            total = task.total or 1
            progress.update(task.id, total=total, completed=total)
