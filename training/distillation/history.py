"""The history of a run on disk, line by line, from which the report and its plots are made. No I/O but that file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from inference.errors import DataError


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    """A training step: its run and stage, the weighted losses by name, the number of texts and the seconds."""

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
    """Entries in the order in which they were made. Of a step that a killed run made twice, the last entry counts."""

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
