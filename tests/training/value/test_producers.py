"""Values by producer, and duplicates by producer, on logs of two producers of which one has a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from streams.cli import cli
from streams.contracts.messages import View
from streams.contracts.serde import encode_json
from tests.training.value.small_study import SHOP, shop_events
from tests.training.value.two_producers import BAD, GOOD, two_producers
from training.value.inputs import context_producer
from training.value.run import duplicates


def report(folder: Path, events: list[bytes], *options: str) -> tuple[dict[str, Any], str]:
    """Return the report on a log of the small shop, and what the terminal shows."""
    (folder / "items.jsonl").write_bytes(b"\n".join(map(encode_json, SHOP)))
    (folder / "events.jsonl").write_bytes(b"".join(events))
    files = ["--catalog", str(folder / "items.jsonl"), "--events", str(folder / "events.jsonl")]
    arguments = ["value", *files, "--output", str(folder / "out"), "--test-share", "0.5", "--jobs", "1", *options]
    result = CliRunner(env={"COLUMNS": "100"}).invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((folder / "out" / "value.json").read_bytes())
    return found, result.stdout


def visits(number: int = 600) -> Iterator[bytes]:
    """Yield views of shoppers who keep to one kind of things."""
    random = Random(0)
    for visit in range(number):
        shopper = random.randrange(80)
        for place, colour in enumerate(random.sample(range(12), random.randint(2, 5))):
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=97 * visit + place)
            item = f"i{5 * colour + shopper % 5}"
            yield encode_json(View(event_id=f"{visit}-{place}", user_id=f"u{shopper}", occurred_at=at, item_id=item))


def test_a_producer_of_shuffled_items_is_ranked_below_one_of_real_sessions(tmp_path: Path) -> None:
    lines = two_producers(visits(), "shuffled")
    found, shown = report(tmp_path, lines, "--only", "sessions,producers")
    groups = {each["name"]: each for each in found["sections"]["sessions"]["groups"] if each["by"] == "producer"}
    assert {*groups} == {GOOD, BAD}
    assert groups[BAD]["per_session"]["high"] < groups[GOOD]["per_session"]["low"]
    assert groups[BAD]["negative"] > groups[GOOD]["negative"]
    assert f"producer: {BAD}" in shown
    assets = {each["name"]: each for each in found["sections"]["assets"]["values"]}
    assert assets[BAD]["relative"]["high"] < assets[GOOD]["relative"]["low"]
    assert assets[BAD]["size"] + assets[GOOD]["size"] == len(lines)


def test_events_that_a_producer_sends_twice_under_new_ids_are_counted(tmp_path: Path) -> None:
    lines = two_producers(map(encode_json, shop_events()), "duplicates")
    found, shown = report(tmp_path, lines, "--only", "types")
    data = found["data"]
    assert data["duplicates"] == {BAD: data["producers"][BAD] // 2}
    assert data["events"] == sum(data["producers"].values()) == len(lines)
    assert f"{data['duplicates'][BAD]} of {data['producers'][BAD]} of {BAD}" in " ".join(shown.split())


def test_a_log_without_duplicates_and_producers_says_nothing_of_them(tmp_path: Path) -> None:
    found, shown = report(tmp_path, [encode_json(each) + b"\n" for each in shop_events()], "--only", "types")
    assert found["data"]["duplicates"] == {}
    assert found["data"]["producers"] == {"(unnamed)": 240}
    assert "under another event id" not in shown


def test_a_duplicate_differs_in_its_event_id_and_context_only() -> None:
    first, *others = shop_events(length=12)
    again = [
        msgspec.structs.replace(first, event_id="again", context={"attempt": 2}),
        msgspec.structs.replace(first, event_id="third", session_id="other"),
    ]
    assert duplicates([first, *others, *again]) == [False] * 12 + [True, False]


@pytest.mark.parametrize(("context", "producer"), [({"producer": "pos"}, "pos"), ({"producer": 7}, ""), ({}, "")])
def test_an_event_may_name_its_producer_in_its_context(context: dict[str, Any], producer: str) -> None:
    (event,) = shop_events(length=1)
    assert context_producer(msgspec.structs.replace(event, context=context)) == producer
