"""Output of training commands: progress of phases on standard error, tables of a ranker's figures, and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.phases import StartPhase

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress

    from training.ranker.tables import Figures


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


def note_another_name(output: Path, model: str) -> None:
    """Print a note if NAME is not that of the model in use: a vector space is named after its model."""
    if output.parent.name != model:
        click.echo(
            f"Note: {output} is a version of {output.parent.name!r}, not of {model!r}, so workers that change to it "
            f"encode all items again. To keep the vectors, write to .../{model}/VERSION",
            err=True,
        )


def figure_views(figures: Figures) -> Iterable[RenderableType]:
    """Return the note, the table and the remarks. The name of a group of rows is in its first row only."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    yield Text(figures.note)
    if figures.rows:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for place, name in enumerate(figures.header):
            table.add_column(name, justify="left" if place < figures.texts else "right", no_wrap=True)
        group = figures.rows[0][0]
        for number, row in enumerate(figures.rows):
            is_new = figures.texts == 1 or number == 0 or row[0] != group
            if is_new and figures.texts > 1 and number:
                table.add_section()
            group = row[0]
            style = "bold" if figures.is_marked(row) else ""
            table.add_row(*(Text(cell, style) for cell in (row[0] if is_new else "", *row[1:])))
        yield table
    for line in figures.lines:
        yield Text(line)
