"""Small imports for tests: writes the files, runs the import and reads its output."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from inference.types import Item
from streams.contracts.jsonlines import read_events, read_items
from streams.contracts.messages import Interaction, Search
from training.importing.report import Report
from training.importing.run import Import, Importer
from training.importing.values import make_values


class Shop(NamedTuple):
    items: dict[str, Item]
    events: list[Interaction]
    report: Report


def imported(
    folder: Path, *, catalog: tuple[str, str | bytes] | None = None, events: tuple[str, str | bytes] | None = None,
    encoding: str | None = None, **conventions: Any,
) -> Shop:  # fmt: skip
    """Import a catalogue and a log, each given as its format and its content."""
    catalogs = [] if catalog is None else [(catalog[0], written(folder / "catalog", catalog[1]))]
    logs = [] if events is None else [(events[0], written(folder / "log", events[1]))]
    plan = Import(
        catalogs=catalogs, events=logs, output=folder / "out", encoding=encoding, values=make_values(**conventions)
    )
    report = Importer(plan, ignored).run()
    return Shop(items_of(folder / "out"), events_of(folder / "out"), report)


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def ignored(advanced: int) -> None:
    """Progress that nobody sees."""


def items_of(output: Path) -> dict[str, Item]:
    path = output / "items.jsonl"
    return {line.message.item_id: line.message for line in read_items(path)} if path.exists() else {}


def events_of(output: Path) -> list[Interaction]:
    path = output / "events.jsonl"
    return [line.message for line in read_events(path)] if path.exists() else []


def acts(events: list[Interaction]) -> list[tuple[str, str, str]]:
    """Return the user, type, and item or query of each event."""
    return [(each.user_id, each.type, each.query if isinstance(each, Search) else each.item_id) for each in events]
