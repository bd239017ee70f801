"""A ranker's figures for the terminal, as `evaluate` prints its own."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from training.ranker.tables import Figures


def views(figures: Figures) -> Iterable[RenderableType]:
    """Return the note, the table and the remarks. The name of a group of rows is in its first row only."""
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
