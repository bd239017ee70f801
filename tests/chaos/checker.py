"""The rules of a run. Each returns what it checked and the violations that it found.

The checker imports nothing of the engine, so a fault of the engine cannot hide itself here.
"""

from __future__ import annotations

import unicodedata
from base64 import b64decode
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tests.chaos import state_rules
from tests.chaos.evidence import Evidence, Finding, place_of
from tests.chaos.model import list_id, partition_of
from tests.chaos.records import Record

LARGEST_LETTER = 700_000
"""Bytes of a message from which on its dead letter may leave it out."""


def check(evidence: Evidence) -> list[Finding]:
    """Apply all rules."""
    return [rule(evidence) for rule in RULES]


def answered(evidence: Evidence) -> Finding:
    """Every valid event has a list: at its position, or, if it was sent again or forwarded, by its id."""
    finding = Finding("answered")
    positions, ids = set(), set()
    for _, message in evidence.lists:
        trigger = message["trigger"]
        positions.add((trigger["topic"], trigger["partition"], trigger["offset"]))
        ids.add((message["user_id"], trigger["event_id"]))
    for position, event in evidence.events.items():
        has_list = position in positions or (event.user_id, event.event_id) in ids
        finding.require(has_list, f"no list answers {place_of(position)}")
    return finding


def lists(evidence: Evidence) -> Finding:
    """Every list answers a real event under the id of the contract, and is well formed."""
    finding = Finding("lists")
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    for position, each in evidence.events.items():
        ids[each.user_id, each.event_id].add(list_id(*position))
    known = {(record.key or b"").decode() for record, item in evidence.items.values() if item is not None}
    for record, message in evidence.lists:
        trigger = message["trigger"]
        event = evidence.events.get((trigger["topic"], trigger["partition"], trigger["offset"]))
        problems = _list_problems(message, known)
        identity = message["user_id"], trigger["event_id"], trigger["type"]
        if event is None or identity != (event.user_id, event.event_id, event.type):
            problems.append("names no event of the input topics")
        elif message["recommendation_id"] not in ids[event.user_id, event.event_id]:
            # A list of an event that was sent again may repeat the id of the first one.
            problems.append("has an id that its trigger does not give")
        elif record.key != event.record.key or record.partition != partition_of(record.key or b"", evidence.partitions):
            problems.append("has another key or partition than its shopper's")
        finding.require(not problems, f"the list {place_of(record.position)} {'; '.join(problems)}")
    return finding


def dead_letters(evidence: Evidence) -> Finding:
    """Every invalid message has a dead letter with its position and bytes, and no valid one has."""
    finding = Finding("dead letters")
    committed = set()
    for topic in evidence.topics.inputs:
        for record in evidence.records[topic]:
            committed.add(record.position)
            found, place = evidence.letters.get(record.position, []), place_of(record.position)
            if record.position in evidence.events or record.position in evidence.items:
                finding.require(not found, f"the valid message {place} is a dead letter")
            else:
                has_letter = any(_repeats(letter, record) for letter in found)
                finding.require(has_letter, f"no dead letter has the position and the bytes of {place}")
    for position in evidence.letters:
        is_real = position in committed or position[0] not in evidence.topics.inputs
        finding.require(is_real, f"a dead letter names {place_of(position)}, which no producer committed")
    return finding


def logs(evidence: Evidence) -> Finding:
    """No log contains an id or a payload, or a control character."""
    finding = Finding("logs")
    for worker, text in evidence.logs.items():
        for number, line in enumerate(text.split("\n"), start=1):
            problem = ""
            if any(secret in line for secret in evidence.secrets):
                problem = "an id or a payload"
            elif _has_control(line.replace("\t", "")):
                problem = "a control character"
            finding.require(not problem, f"line {number} of the log of {worker} contains {problem}")
    return finding


def exits(evidence: Evidence) -> Finding:
    """No worker ends by itself, unless a fault explains it."""
    finding = Finding("exits")
    for each in evidence.exits:
        ended = f"{each.worker} ended with {each.code} at {each.at_s:.1f} s"
        finding.require(each.reason is not None, f"{ended}, and no fault explains it")
    return finding


RULES = (
    answered,
    lists,
    dead_letters,
    state_rules.profiles,
    state_rules.cooccurrence,
    state_rules.catalogue,
    state_rules.restored,
    logs,
    exits,
)


def _list_problems(message: Mapping[str, Any], known: set[str]) -> list[str]:
    problems = []
    ids = [each["item_id"] for each in message["items"]]
    if [each["rank"] for each in message["items"]] != list(range(1, len(ids) + 1)):
        problems.append("has ranks with gaps")
    if len(set(ids)) != len(ids):
        problems.append("repeats an item")
    if not known.issuperset(ids):
        problems.append("contains an item that the shop never had")
    texts = [each["reason"] for each in message["items"]] + [each["label"] for each in message["intent"]]
    texts += [each["because"].get(name, "") for each in message["items"] for name in ("label", "query")]
    if any(map(_has_control, texts)):
        problems.append("shows a control character")
    return problems


def _has_control(text: str) -> bool:
    return not text.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in text)


def _repeats(letter: Mapping[str, Any], record: Record) -> bool:
    """Return whether a dead letter holds the bytes of its message, or leaves out large ones."""
    if letter["key"] is None and letter["value"] is None and len(record.value or b"") > LARGEST_LETTER:
        return True
    key, value = (None if letter[name] is None else b64decode(letter[name]) for name in ("key", "value"))
    return (key, value) == (record.key, record.value)
