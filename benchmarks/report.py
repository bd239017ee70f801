"""The results as a page and as data. No I/O: rendering takes values and returns text.

`results.json` contains the data of `results.md`, so that one section can be measured again and the others stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

import msgspec

WIDTH = 120
Scalar = str | int | float | bool | None


class Table(msgspec.Struct, frozen=True):
    """The cells as text. The first column is left-aligned, the others are right-aligned."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement: the method, the tables, the conclusions, the raw numbers, and the command."""

    title: str
    how: str
    tables: tuple[Table, ...]
    says: tuple[str, ...] = ()
    data: Mapping[str, object] = {}
    command: str = ""
    date: str = ""
    minutes: float = 0.0


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All measurements, by the name of the section, in the order of the page."""

    about: Mapping[str, Scalar]
    sections: Mapping[str, Section]


INTRODUCTION = """\
# Measurements

One worker, one node of Apache Kafka, the load generator and the consumer run on the same machine and share its cores.
Absolute figures vary from run to run. Compare figures within one section rather than across sections. `make bench`
measures everything. The command below each title measures that section again.
"""


def render(results: Results) -> str:
    """Return the page."""
    about = Table(("", ""), tuple((name, str(value)) for name, value in results.about.items()))
    parts = [INTRODUCTION, table(about), *(_section(section) for section in results.sections.values())]
    return "\n".join(parts)


def table(content: Table) -> str:
    """Return a table in Markdown, with each column as wide as its widest cell."""
    rows = [content.header, *content.rows]
    widths = [max(3, *(len(row[column]) for row in rows)) for column in range(len(content.header))]

    def line(cells: tuple[str, ...]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (widths[0] + 2) if not i else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(content.header), rule, *map(line, content.rows)]) + "\n"


def _section(section: Section) -> str:
    how = "\n\n".join(fill(paragraph, WIDTH) for paragraph in section.how.split("\n\n"))
    measured = f"`{section.command}`, {section.date}, {section.minutes:.0f} min." if section.command else ""
    parts = [f"## {section.title}", measured, how, *map(table, section.tables), *section.says]
    parts = [part for part in parts if part]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def merged(old: Results | None, new: Results, order: tuple[str, ...]) -> Results:
    """Replace old sections with new ones, in the order of the page."""
    sections = {**(old.sections if old else {}), **new.sections}
    return Results(about=new.about, sections={name: sections[name] for name in order if name in sections})
