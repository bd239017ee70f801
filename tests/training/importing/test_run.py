"""Large and interrupted imports: the same bytes, however they came about."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.importing.shops import ignored
from training.importing import events as events_module
from training.importing import formats
from training.importing.drafts import EventDraft
from training.importing.run import Import, Importer
from training.importing.values import Values


def visit(number: int) -> dict[str, Any]:
    product = {"product_id": f"p{number % 7}", "name": f"Product {number % 7}", "price": number}
    at = f"2026-01-31T13:{number * 37 % 60:02}:{number * 11 % 60:02}Z"
    return {
        "type": "track", "event": "Product Viewed", "messageId": f"m{number}", "userId": f"u{number % 3}",
        "timestamp": at if number % 10 else None, "properties": product,
    }  # fmt: skip


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """A log of 95 records in two files, which is converted in parts of 20."""
    monkeypatch.setattr(events_module, "PART_RECORDS", 20)
    folder = tmp_path / "log"
    folder.mkdir()
    for name, numbers in (("1.jsonl", range(50)), ("2.jsonl.gz", range(50, 95))):
        content = "".join(json.dumps(visit(number)) + "\n" for number in numbers).encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    (folder / ".hidden").write_text("not an export")
    return Import(catalogs=[], events=[("segment", folder)], output=tmp_path / "out")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_same_input_gives_the_same_bytes_in_any_parts(plan: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Importer(plan, ignored).run()
    first = contents(plan.output)
    assert set(first) == {"items.jsonl", "events.jsonl", "import-report.json"}
    assert report.events is not None
    assert report.events.records == {"1.jsonl": 50, "2.jsonl.gz": 45}
    assert report.events.written == {"view": 85}
    assert report.events.dropped["time is missing"].count == 10
    assert report.events.dropped["time is missing"].examples == ["1.jsonl:1", "1.jsonl:11", "1.jsonl:21"]
    Importer(plan, ignored).run()
    assert contents(plan.output) == first
    monkeypatch.setattr(events_module, "PART_RECORDS", 1000)
    Importer(plan, ignored).run()
    assert contents(plan.output) == first


class Stopped(BaseException):
    """The end of a process, which no code handles."""


def count_conversions(monkeypatch: pytest.MonkeyPatch, *, stop_at: int | None = None) -> list[str]:
    """Record each converted line, and stop at one of them."""
    seen: list[str] = []
    convert = formats.FORMATS["segment"].to_events
    assert convert is not None

    def counted(data: Any, values: Values) -> Iterator[EventDraft]:
        if len(seen) == stop_at:
            raise Stopped
        seen.append(data)
        yield from convert(data, values)

    monkeypatch.setitem(formats.FORMATS, "segment", replace(formats.FORMATS["segment"], to_events=counted))
    return seen


def test_a_stopped_import_continues_and_gives_the_same_bytes(plan: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    Importer(plan, ignored).run()
    whole = contents(plan.output)
    for path in plan.output.iterdir():
        path.write_text("of an earlier import\n")
    with monkeypatch.context() as patched:
        count_conversions(patched, stop_at=70)
        with pytest.raises(Stopped):
            Importer(plan, ignored).run()
    assert set(contents(plan.output).values()) == {b"of an earlier import\n"}
    with monkeypatch.context() as patched:
        seen = count_conversions(patched)
        importer = Importer(plan, ignored)
        importer.run()
    assert importer.continued_at == 60
    assert len(seen) == 35
    assert not (plan.output / ".import").exists()
    assert contents(plan.output) == whole


@pytest.mark.parametrize("change", ["file", "option"])
def test_another_input_starts_anew(plan: Import, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    with monkeypatch.context() as patched:
        count_conversions(patched, stop_at=70)
        with pytest.raises(Stopped):
            Importer(plan, ignored).run()
    if change == "file":
        with (plan.events[0][1] / "1.jsonl").open("a") as file:
            file.write(json.dumps(visit(1000)) + "\n")
    else:
        plan.values.currency = "EUR"
    importer = Importer(plan, ignored)
    importer.run()
    assert importer.continued_at == 0


def test_progress_is_in_bytes_of_the_files(plan: Import) -> None:
    advanced: list[int] = []
    importer = Importer(plan, advanced.append)
    importer.run()
    assert sum(advanced) == importer.size == sum(path.stat().st_size for path in plan.events[0][1].glob("[0-9]*"))
