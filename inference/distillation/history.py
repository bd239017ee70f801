"""The history of a run on disk, line by line: what the report and its plots are made of. Pure, but for the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from inference.errors import DataError


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    """A training step: of which run and stage, its losses by name, weighted, its texts and seconds."""

    run: str
    stage: str
    step: int
    losses: dict[str, float]
    texts: int
    seconds: float


class Check(msgspec.Struct, frozen=True, kw_only=True, tag="check"):
    """A validation before `step`: mean cosine to the teacher on held-out titles, NDCG@10 of graded queries if any."""

    run: str
    stage: str
    step: int
    cosine: float
    ndcg: float | None = None


Entry = Step | Check


class History:
    """Entries in the order they were made. What a killed run did twice counts once, as it was the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")

    def entries(self) -> Iterator[Entry]:
        """Yield each step and check once, in order. Raises DataError."""
        found: dict[tuple[str, str, str, int], Entry] = {}
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.DecodeError as error:
                if number == len(lines):
                    break  # A kill can leave half a line at the end.
                raise DataError(f"{self._path}, line {number}: {error}") from error
            key = (type(entry).__name__, entry.run, entry.stage, entry.step)
            found.pop(key, None)
            found[key] = entry
        yield from found.values()
