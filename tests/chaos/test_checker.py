"""The checker finds nothing in a sound run, and finds each violation that is put into one. No broker."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from inference.types import stable_key
from streams.contracts import serde
from streams.errors import InvalidEvent
from streams.profiles.layout import HABIT, PROFILE, VERSION
from tests.chaos import hostile, model, stored
from tests.chaos.checker import RULES, check
from tests.chaos.contract import ACTIONS, InvalidMessageError, read_event, read_item
from tests.chaos.evidence import Evidence, Exit
from tests.chaos.records import Record
from tests.chaos.waits import measure
from tests.chaos.whole import TOPICS, evidence, letter
from tests.streams.profiles.versions import VERSION_6, VERSION_7

VALID_EVENT: dict[str, Any] = {
    "type": "view",
    "event_id": "zqx-e",
    "user_id": "zqx-u",
    "occurred_at": "2026-01-31T13:02:41Z",
    "item_id": "zqx-i",
    "session_id": "zqx-s",
}
VALID_ITEM: dict[str, Any] = {"item_id": "zqx-i", "title": "zqx title", "category": ["a"], "brand": "b", "price": 1.5}


@pytest.fixture(scope="module")
def run() -> Evidence:
    """A sound run."""
    return evidence()


def test_a_sound_run_has_no_violations(run: Evidence) -> None:
    findings = check(run)
    assert [violation for finding in findings for violation in finding.violations] == []
    assert {finding.rule for finding in findings if finding.checked == 0} == {"restore", "exits"}


def changed(run: Evidence, topic: str, change: Callable[[list[Record]], None]) -> Evidence:
    """Return the run with other records of a topic."""
    records = list(run.records[topic])
    change(records)
    return replace(run, records={**run.records, topic: records})


def on_list(run: Evidence, change: Callable[[dict[str, Any]], None]) -> Evidence:
    """Return the run with its first list changed."""

    def apply(records: list[Record]) -> None:
        message = json.loads(records[0].value or b"")
        change(message)
        records[0] = records[0]._replace(value=json.dumps(message).encode())

    return changed(run, TOPICS.recommendations, apply)


def on_profile(field: str, change: Callable[[Any], Any], row: tuple[int, ...] = ()) -> Callable[[Evidence], Evidence]:
    """Return a change of a field of the first profile."""

    def apply(records: list[Record]) -> None:
        data = bytearray(records[0].value or b"")
        fields = np.frombuffer(data, stored.PROFILE, 1)
        place = (0, *row)
        fields[field][place] = change(fields[field][place])
        records[0] = records[0]._replace(value=bytes(data))

    return lambda run: changed(run, TOPICS.profiles, apply)


def without_answers(run: Evidence) -> Evidence:
    """Remove all lists of the first answered event."""
    first = json.loads(run.records[TOPICS.recommendations][0].value or b"")["trigger"]["event_id"]

    def apply(records: list[Record]) -> None:
        records[:] = [each for each in records if json.loads(each.value or b"")["trigger"]["event_id"] != first]

    return changed(run, TOPICS.recommendations, apply)


def counted_twice(run: Evidence) -> Evidence:
    def apply(records: list[Record]) -> None:
        version, half_life, landmark, latest, weight = stored.COOCCURRENCE_HEADER.unpack(records[0].value or b"")
        data = stored.COOCCURRENCE_HEADER.pack(version, half_life, landmark, latest, weight + 1)
        records[0] = records[0]._replace(value=data)

    return changed(run, TOPICS.cooccurrence, apply)


def letter_of_a_valid_event(run: Evidence) -> Evidence:
    valid = run.clicks[0].record
    return changed(
        run, TOPICS.dead_letters, lambda records: records.append(records[0]._replace(value=letter(valid), offset=10**6))
    )


def letter_of_an_aborted_message(run: Evidence) -> Evidence:
    nowhere = Record(TOPICS.clicks, 0, 10**6, 0, b"", b"")
    return changed(run, TOPICS.dead_letters, lambda records: records.append(records[0]._replace(value=letter(nowhere))))


def old_title(run: Evidence) -> Evidence:
    def apply(records: list[Record]) -> None:
        item, *rest = msgspec.msgpack.decode(records[0].value or b"")
        records[0] = records[0]._replace(value=msgspec.msgpack.encode([item | {"title": "Old"}, *rest]))

    return changed(run, TOPICS.item_vectors, apply)


def removed_item_comes_back(run: Evidence) -> Evidence:
    def apply(records: list[Record]) -> None:
        records[:] = [record for record in records if record.value is not None]

    return changed(run, TOPICS.item_vectors, apply)


def foreign_profile(run: Evidence) -> Evidence:
    def apply(records: list[Record]) -> None:
        records.append(records[0]._replace(partition=(records[0].partition + 1) % run.partitions))

    return changed(run, TOPICS.profiles, apply)


def drop_first(topic: str) -> Callable[[Evidence], Evidence]:
    return lambda run: changed(run, topic, lambda records: records.pop(0) and None)


def with_log(line: str) -> Callable[[Evidence], Evidence]:
    return lambda run: replace(run, logs={"one": f"INFO ready\n{line}\n"})


def restored(run: Evidence) -> Evidence:
    first = run.records[TOPICS.profiles][0]
    return replace(run, restored={TOPICS.profiles: {(first.partition, first.key or b""): b"stale"}})


SEEDED: dict[str, tuple[str, Callable[[Evidence], Evidence]]] = {
    "an answer is missing": ("answered", without_answers),
    "a list names another event": ("lists", lambda run: on_list(run, lambda m: m["trigger"].update(offset=10**6))),
    "a list has another id": ("lists", lambda run: on_list(run, lambda m: m.update(recommendation_id="0" * 32))),
    "a list is of another shopper": ("lists", lambda run: on_list(run, lambda m: m.update(user_id="zqx-other"))),
    "a list repeats an item": ("lists", lambda run: on_list(run, lambda m: m["items"].append(m["items"][0]))),
    "a list has an unknown item": ("lists", lambda run: on_list(run, lambda m: m["items"][0].update(item_id="?"))),
    "a reason has an escape": ("lists", lambda run: on_list(run, lambda m: m["items"][0].update(reason="\x1b[31m"))),
    "a query of a reason has an escape": (
        "lists",
        lambda run: on_list(run, lambda m: m["items"][0]["because"].update(query="\x1b[31m")),
    ),
    "a dead letter is missing": ("dead letters", drop_first(TOPICS.dead_letters)),
    "a valid event is a dead letter": ("dead letters", letter_of_a_valid_event),
    "an aborted message is a dead letter": ("dead letters", letter_of_an_aborted_message),
    "a profile is missing": ("profiles", drop_first(TOPICS.profiles)),
    "a profile is in two partitions": ("profiles", foreign_profile),
    "an action is counted twice": ("profiles", on_profile("price_moments", lambda weight: weight + 1, (0,))),
    "a position is too low": ("profiles", on_profile("topic_offsets", lambda _: 0, (0,))),
    "an item is missing": ("profiles", on_profile("recent_length", lambda length: length - 1)),
    "an item is of another time": ("profiles", on_profile("recent_at_ms", lambda at: at - 1, (0,))),
    "a search is missing": ("profiles", on_profile("queries_length", lambda length: length - 1)),
    "the newest event is missing": ("profiles", on_profile("updated_ms", lambda at: at - 125)),
    "a profile has another version": ("profiles", on_profile("version", lambda _: 99)),
    "a transition is counted twice": ("co-occurrence", counted_twice),
    "a state is missing": ("co-occurrence", drop_first(TOPICS.cooccurrence)),
    "an item has its old title": ("catalogue", old_title),
    "a removed item comes back": ("catalogue", removed_item_comes_back),
    "another state is restored": ("restore", restored),
    "a user id is in the log": ("logs", with_log("WARNING failed for zqx-shopper-1")),
    "an escape is in the log": ("logs", with_log("WARNING \x1b[31mred")),
    "a worker ends by itself": ("exits", lambda run: replace(run, exits=[Exit(1.0, "one", 1, None)])),
}


@pytest.mark.parametrize("name", SEEDED)
def test_each_violation_is_found_by_its_rule_alone(run: Evidence, name: str) -> None:
    rule, seed = SEEDED[name]
    assert {finding.rule for finding in check(seed(run)) if finding.violations} == {rule}


def test_every_rule_has_a_seeded_violation(run: Evidence) -> None:
    assert {rule for rule, _ in SEEDED.values()} == {finding.rule for finding in check(run)}
    assert len(RULES) == len(check(run))


@pytest.mark.parametrize(
    ("changes", "valid", "base"),
    [
        (hostile.INVALID_EVENTS, False, VALID_EVENT),
        (hostile.ODD, True, VALID_EVENT),
        (hostile.INVALID_ITEMS, False, VALID_ITEM),
    ],
)
def test_the_checkers_contract_agrees_with_the_engines(
    changes: dict[str, hostile.Change], valid: bool, base: dict[str, Any]
) -> None:
    own, engine = (_read_item, serde.decode_item) if base is VALID_ITEM else (_read_event, serde.decode_item_action)
    for name, change in changes.items():
        key, value = change(base.get("user_id", base["item_id"]).encode(), dict(base))
        assert _accepts(own, InvalidMessageError, key, value) is valid, name
        assert _accepts(engine, InvalidEvent, key, value) is valid, name


@pytest.mark.parametrize("query", hostile.ODD_QUERIES)
def test_odd_searches_are_valid(query: str) -> None:
    fields = {name: value for name, value in VALID_EVENT.items() if name != "item_id"}
    value = hostile.encoded(fields | {"type": "search", "query": query})
    read_event(Record("searches", 0, 0, 0, b"zqx-u", value), ("search",))
    serde.decode_search(b"zqx-u", value)


def _read_event(key: bytes | None, value: bytes | None) -> None:
    read_event(Record("clicks", 0, 0, 0, key, value), ACTIONS)


def _read_item(key: bytes | None, value: bytes | None) -> None:
    read_item(Record("items", 0, 0, 0, key, value))


def _accepts(
    read: Callable[[bytes | None, bytes | None], object],
    refused: type[Exception],
    key: bytes | None,
    value: bytes | None,
) -> bool:
    try:
        read(key, value)
    except refused:
        return False
    return True


@given(st.binary(max_size=40))
def test_keys_get_the_partition_of_the_java_client(key: bytes) -> None:
    assert model.partition_of(key, 7) == (murmur2(key) & 0x7FFFFFFF) % 7


@given(st.text(max_size=20))
def test_stable_keys_are_the_engines(text: str) -> None:
    assert model.stable_key(text) == stable_key(text)


def offsets(layout: np.dtype[np.void]) -> dict[str, int]:
    assert layout.fields is not None
    return {name: field[1] for name, field in layout.fields.items()}


def test_the_layout_of_profiles_is_the_engines() -> None:
    assert VERSION in stored.PROFILE_VERSIONS
    assert offsets(stored.PROFILE).items() <= offsets(PROFILE).items()
    assert stored.HABIT.itemsize == HABIT.itemsize
    assert stored.read_profile(VERSION_7) == stored.read_profile(VERSION_6)


def test_the_checker_imports_nothing_of_the_engine() -> None:
    program = (
        "import sys, tests.chaos.checker, tests.chaos.records, tests.chaos.waits;"
        "print([name for name in sys.modules if name.split('.')[0] in ('streams', 'inference', 'training')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_waits_belong_to_the_fault_before_them(run: Evidence) -> None:
    def answer_late(records: list[Record]) -> None:
        records[0] = records[0]._replace(timestamp_ms=records[0].timestamp_ms + 5000)

    first = run.clicks[0].record.timestamp_ms
    waits = measure(changed(run, TOPICS.recommendations, answer_late), [first - 1000, first + 60_000])
    assert waits.recovery_s == [pytest.approx(6.0, abs=0.5), 0.0]
    assert waits.median_ms < 1000
    assert waits.repeats == 3
