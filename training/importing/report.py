"""The report of an import: what was read, written, dropped and left out, with the first examples of each reason."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

EXAMPLES = 3
MOST_REASONS = 50
OTHERS = "other reasons"


class Tally(msgspec.Struct):
    """How often something happened, and the first places where it did."""

    count: int = 0
    examples: list[str] = []


class Section(msgspec.Struct):
    """The items or the events of an import.

    `records` counts the records of each file, `written` the lines of the output by type. `dropped` are records, or
    actions of one, that are not in the output; `remarks` are values that were left out, assumed or merged.
    """

    records: dict[str, int] = {}
    written: dict[str, int] = {}
    dropped: dict[str, Tally] = {}
    remarks: dict[str, Tally] = {}

    def drop(self, reason: str, place: str, detail: str = "") -> None:
        """Count something that is not imported."""
        _count(self.dropped, reason, f"{place}: {detail}" if detail else place)

    def remark(self, reason: str, place: str, detail: str = "") -> None:
        """Count a value that was left out or assumed."""
        _count(self.remarks, reason, f"{place}: {detail}" if detail else place)

    @property
    def total(self) -> int:
        """All lines that were written."""
        return sum(self.written.values())

    def lines(self, name: str) -> Iterator[str]:
        """Yield the section as text."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self.written.items()) if kind != name)
        yield f"{self.total:,} {name} from {sum(self.records.values()):,} records" + (f": {kinds}" if kinds else "")
        for title, tallies in (("dropped", self.dropped), ("note", self.remarks)):
            for reason, tally in sorted(tallies.items(), key=lambda each: (-each[1].count, each[0])):
                yield f"  {title}: {tally.count:,} × {reason}"
                for example in tally.examples:
                    yield f"      {example}"


class Report(msgspec.Struct, omit_defaults=True):
    """The report of a whole import. A section is None if no file of its kind was given."""

    items: Section | None = None
    events: Section | None = None

    def text(self) -> str:
        """Return the report for people."""
        sections = (("items", self.items), ("events", self.events))
        return "\n".join(line for name, section in sections if section for line in section.lines(name))


def _count(tallies: dict[str, Tally], reason: str, example: str) -> None:
    if reason not in tallies and len(tallies) >= MOST_REASONS:
        reason = OTHERS
    tally = tallies.setdefault(reason, Tally())
    tally.count += 1
    if len(tally.examples) < EXAMPLES:
        tally.examples.append(example[:200])
