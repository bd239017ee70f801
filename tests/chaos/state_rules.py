"""Rules of the state: profiles, co-occurrence, the catalogue, and what a new worker restores."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from tests.chaos.evidence import Evidence, Finding, newest
from tests.chaos.model import MOST_STREAMS, ExpectedProfile, expected_items, expected_profiles, partition_of
from tests.chaos.stored import StoredProfile, UnreadableStateError, read_cooccurrence, read_profile

POISON = b"poison"
"""Part of the keys of poisoned records, which belong to no shopper and no item."""


def profiles(evidence: Evidence) -> Finding:
    """Every profile on the changelog holds its shopper's events, each counted once."""
    finding = Finding("profiles")
    expected = expected_profiles(
        evidence.clicks, evidence.searches, evidence.known_items, evidence.partitions, evidence.rules
    )
    users = {(partition_of(user.encode(), evidence.partitions), user.encode()): user for user in expected}
    stored = newest(evidence.records[evidence.topics.profiles])
    for partition, key in stored.keys() - users.keys():
        finding.require(POISON in key, f"partition {partition} holds a profile that no valid event explains: {key!r}")
    for place, user in users.items():
        problems = profile_problems(stored.get(place), expected[user])
        finding.require(not problems, f"partition {place[0]}, {user}: {'; '.join(problems)}")
    return finding


def cooccurrence(evidence: Evidence) -> Finding:
    """Every item's co-occurrence state on the changelog counts each action on the item once."""
    finding = Finding("co-occurrence")
    stored = newest(evidence.records[evidence.topics.cooccurrence])
    for item_id, expected in expected_items(evidence.clicks, evidence.partitions, evidence.rules).items():
        if item_id not in evidence.known_items:
            continue
        problem = ""
        try:
            got = read_cooccurrence(stored.get((partition_of(item_id.encode(), evidence.partitions), item_id.encode())))
            if got.latest_ms != expected.latest_ms:
                problem = f"newest action: required {expected.latest_ms}, got {got.latest_ms}"
            elif not math.isclose(got.weight, expected.weight, rel_tol=1e-6):
                problem = f"weight of actions: required {expected.weight:.6f}, got {got.weight:.6f}"
        except UnreadableStateError as error:
            problem = str(error)
        finding.require(not problem, f"{item_id}: {problem}")
    return finding


def catalogue(evidence: Evidence) -> Finding:
    """The broadcast of every item is its last valid message, and a removed item has none."""
    finding = Finding("catalogue")
    # An item in another partition than its key's counts until it is forwarded to it.
    last: dict[bytes, dict[str, Any] | None] = {}
    for is_right in (False, True):
        for record, item in evidence.items.values():
            key = record.key or b""
            if (partition_of(key, evidence.partitions) == record.partition) == is_right:
                last[key] = item
    vectors = newest(evidence.records[evidence.topics.item_vectors])
    for key, item in last.items():
        data = vectors.get((partition_of(key, evidence.partitions), key))
        if item is None:
            finding.require(data is None, f"{key!r} was removed and is still broadcast")
            continue
        try:
            got = msgspec.msgpack.decode(data or b"")[0]
            is_same = all(got.get(name) == item.get(name) for name in ("item_id", "title", "price"))
        except (msgspec.DecodeError, TypeError, AttributeError, IndexError, KeyError):
            is_same = False
        finding.require(is_same, f"the broadcast of {key!r} is not its last message")
    return finding


def restored(evidence: Evidence) -> Finding:
    """A worker with an empty directory restores exactly what the changelogs hold."""
    finding = Finding("restore")
    for topic, got in (evidence.restored or {}).items():
        written = newest(evidence.records[topic])
        for place in written.keys() | got.keys():
            is_same = written.get(place) == got.get(place) or POISON in place[1]
            finding.require(is_same, f"{topic}, partition {place[0]}: {place[1]!r} differs")
    return finding


def profile_problems(data: bytes | None, expected: ExpectedProfile) -> list[str]:
    """Return the differences of a stored profile from the expected one."""
    try:
        got = read_profile(data)
    except UnreadableStateError as error:
        return [str(error)]
    pairs = {
        "newest event": (expected.updated_ms, got.updated_ms),
        "items": (expected.recent, got.recent),
        "searches": (expected.queries, got.queries if expected.queries is not None else None),
    }
    problems = [f"{name}: required {wanted}, got {has}" for name, (wanted, has) in pairs.items() if wanted != has]
    return problems + _count_problems(got, expected)


def _count_problems(got: StoredProfile, expected: ExpectedProfile) -> list[str]:
    problems = []
    if not math.isclose(got.weight, expected.weight, rel_tol=1e-6, abs_tol=1e-9):
        problems.append(f"weight of actions: required {expected.weight:.6f}, got {got.weight:.6f}")
    if got.habits.keys() != expected.habits.keys():
        problems.append(f"purchases: required {len(expected.habits)} items, got {len(got.habits)}")
    for key in got.habits.keys() & expected.habits.keys():
        (at_s, weight), (wanted_s, wanted) = got.habits[key], expected.habits[key]
        if at_s != wanted_s or not math.isclose(weight, wanted, rel_tol=0.01):
            problems.append(f"purchases of {key}: required {wanted:.3f} to {wanted_s}, got {weight:.3f} to {at_s}")
    is_known = all(offset in expected.offsets.get(stream, ()) for stream, offset in got.offsets.items())
    if not is_known or len(got.offsets) != min(len(expected.offsets), MOST_STREAMS):
        problems.append(f"positions: required {expected.offsets}, got {got.offsets}")
    return problems
