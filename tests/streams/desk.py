"""A folder with a small catalogue and a few events, and the commands that only use files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from inference.types import Item
from streams.cli import cli
from streams.contracts.messages import Click, Interaction, Search, View
from streams.contracts.serde import encode_json

TITLES = ("Green tea", "Black tea", "Espresso beans", "Oat milk", "Milk chocolate", "Sea salt", "Bananas", "Apples")
ITEMS = [Item(item_id=f"i{n}", title=title, category=("Shop", title.split()[-1])) for n, title in enumerate(TITLES)]


def happenings() -> list[Interaction]:
    """Return alternating events of two shoppers. One event is earlier than the one before it."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    events: list[Interaction] = []
    for number, minute in enumerate((0, 1, 2, 70, 71, 65, 200)):
        at, user = start + timedelta(minutes=minute), f"shopper-{number % 2}"
        if number % 3 == 0:
            events.append(Search(event_id=f"e{number}", user_id=user, occurred_at=at, query=f"tea {number}"))
        else:
            act = Click if number % 3 == 1 else View
            events.append(act(event_id=f"e{number}", user_id=user, occurred_at=at, item_id=f"i{number}"))
    return events


@dataclass(frozen=True)
class Desk:
    """A folder with a catalogue and events in it, and the commands on them."""

    folder: Path

    def file(self, name: str) -> Path:
        return self.folder / name

    def encode(self, output: str = "vectors.npz", catalog: str = "items.jsonl") -> Result:
        arguments = ["encode", "--catalog", str(self.file(catalog)), "--output", str(self.file(output))]
        return CliRunner().invoke(cli, arguments)

    def replay(self, *more: str, output: str = "out.jsonl", events: str = "events.jsonl") -> Result:
        files = [("--catalog", "items.jsonl"), ("--events", events), ("--output", output)]
        arguments = [part for option, name in files for part in (option, str(self.file(name)))]
        return CliRunner().invoke(cli, ["replay", *arguments, *more])

    def lists(self, output: str = "out.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file(output).read_bytes().splitlines()]


def assert_one_line(result: Result, code: int, *parts: str) -> None:
    """Assert that a command failed with this exit code and one line of error that contains these parts."""
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    assert line.startswith("Error: ")
    for part in parts:
        assert part in line


def desk_in(folder: Path) -> Desk:
    """Write the catalogue and the events."""
    desk = Desk(folder)
    desk.file("items.jsonl").write_bytes(b"\n".join(map(encode_json, ITEMS)))
    desk.file("events.jsonl").write_bytes(b"\n".join(map(encode_json, happenings())) + b"\n")
    return desk
