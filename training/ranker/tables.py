"""Tables of a ranker's figures, as data: commands print them, and write them as Markdown. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A table of figures.

    Attributes:
        note: what the figures are, above the table.
        header: the names of the columns. The first `texts` columns are text, the others are figures. Of two columns of
            text, the first one names a group of rows.
        rows: the cells of each row. Without any there is only the note.
        marked: the last cell of text of the rows that are marked, empty for none.
        lines: remarks below the table.
    """

    note: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    texts: int = 1
    marked: str = ""
    lines: Sequence[str] = ()

    def is_marked(self, row: Sequence[str]) -> bool:
        """Return whether a row is marked."""
        return bool(self.marked) and row[self.texts - 1] == self.marked

    def markdown(self) -> str:
        """Return the table in Markdown."""
        parts = [self.note]
        if self.rows:
            table = [self.header, ["---"] * len(self.header), *map(self._marked, self.rows)]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in table))
        return "\n\n".join([*parts, *self.lines])

    def _marked(self, row: Sequence[str]) -> Sequence[str]:
        place = self.texts - 1
        return [*row[:place], f"**{row[place]}**", *row[self.texts :]] if self.is_marked(row) else row
