"""Events that producers send again: a profile recognises them by their ids and folds them once."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from inference.types import stable_key
from streams.contracts.messages import Interaction
from streams.profiles.batch import DUPLICATE, LATE, OK, REPLAYED
from streams.profiles.events import Source
from streams.profiles.layout import RECENT_EVENTS
from streams.profiles.profile import Position
from tests.streams.shoppers import NOW_MS, SourcedInteraction, act, at, fold_batch, read, search

DAY_MS = 86_400_000


def named(interaction: Interaction, event_id: str) -> Interaction:
    return msgspec.structs.replace(interaction, event_id=event_id)


def outcomes(*history: SourcedInteraction, stored: bytes | None = None) -> list[tuple[int, int]]:
    """Return the outcome and the first offset of each event."""
    records = fold_batch(stored, history)[1].answers
    return list(zip(records["outcome"].tolist(), records["first_offset"].tolist(), strict=True))


ORDER = named(act("purchase", "a"), "order-1")


def test_an_event_that_is_sent_again_changes_only_the_position() -> None:
    once, _ = fold_batch(None, [(ORDER, at(0))])
    later = named(act("purchase", "a", NOW_MS + DAY_MS), "order-1")
    twice, _ = fold_batch(once, [(later, at(5, NOW_MS + DAY_MS))])
    assert outcomes((later, at(5, NOW_MS + DAY_MS)), stored=once) == [(DUPLICATE, 0)]
    assert read(twice).positions == {stable_key("clicks"): Position(5, NOW_MS + DAY_MS)}
    assert read(twice).habits["interval_days"].tolist() == [0.0]
    moved, _ = fold_batch(None, [(ORDER, at(5, NOW_MS + DAY_MS))])
    for name in ("updated_ms", "queries", "prices", "session_started_ms"):
        assert getattr(read(twice), name) == getattr(read(moved), name)
    for name in ("short_term", "long_term", "recent", "categories", "habits"):
        assert getattr(read(twice), name).tobytes() == getattr(read(moved), name).tobytes()


@pytest.mark.parametrize(
    "other",
    [act("purchase", "b"), act("view", "a"), search("a")],
    ids=["another line of the order", "another action", "a search"],
)
def test_an_id_that_names_other_actions_too_is_no_repetition(other: Interaction) -> None:
    assert [outcome for outcome, _ in outcomes((ORDER, at(0)), (named(other, "order-1"), at(1)))] == [OK, OK]


def test_searches_and_actions_share_the_memory() -> None:
    tent = named(search("tent"), "s")
    history = [(tent, at(7, topic="searches")), (ORDER, at(0)), (tent, at(9, topic="searches")), (ORDER, at(3))]
    assert outcomes(*history) == [(OK, 7), (OK, 0), (DUPLICATE, 7), (DUPLICATE, 0)]


def test_the_last_events_are_remembered() -> None:
    def again(number: int) -> list[tuple[int, int]]:
        others = [(named(act("view", f"i{n}"), f"e{n}"), at(1 + n)) for n in range(number)]
        return outcomes((ORDER, at(0)), *others, (ORDER, at(100)))[-1:]

    assert again(RECENT_EVENTS - 1) == [(DUPLICATE, 0)]
    assert again(RECENT_EVENTS) == [(OK, 100)]


def test_a_repetition_does_not_make_its_event_drop_out_earlier() -> None:
    history: Sequence[SourcedInteraction] = [(ORDER, at(offset)) for offset in range(3 * RECENT_EVENTS)]
    assert outcomes(*history) == [(OK, 0), *[(DUPLICATE, 0)] * (len(history) - 1)]


def test_an_event_that_is_read_again_is_a_replay_and_its_repetition_a_duplicate() -> None:
    """A duplicate sends no transition. Read again as a replay, it would send one that no state holds yet."""
    stored, _ = fold_batch(None, [(ORDER, at(0)), (ORDER, at(1)), (act("view", "b", NOW_MS + 1), at(2))])
    assert outcomes((ORDER, at(0)), (ORDER, at(1)), stored=stored) == [(REPLAYED, 0), (DUPLICATE, 0)]
    assert fold_batch(stored, [(ORDER, at(0)), (ORDER, at(1))])[0] == stored


def test_a_late_event_is_remembered() -> None:
    late = named(act("view", "b", NOW_MS - DAY_MS), "late")
    assert [outcome for outcome, _ in outcomes((ORDER, at(0)), (late, at(1)), (late, at(2)))] == [OK, LATE, DUPLICATE]


@pytest.mark.parametrize("first", [0, 2**32 - 1, 2**32, 5 * 2**32 + 7, 2**62])
def test_the_first_offset_is_exact_beyond_32_bits(first: int) -> None:
    assert outcomes((ORDER, at(first)), (ORDER, at(first + 123))) == [(OK, first), (DUPLICATE, first)]


def test_a_topic_that_was_created_anew_keeps_the_memory() -> None:
    anew = Source("clicks", 0, 3, NOW_MS + DAY_MS)
    assert outcomes((ORDER, at(1000)), (ORDER, anew)) == [(OK, 1000), (DUPLICATE, 1000)]


@pytest.mark.parametrize("offset", [0, 9], ids=["the same offset", "another offset"])
def test_a_repetition_in_another_partition_has_the_place_of_the_first_event(offset: int) -> None:
    """A client that chooses partitions in another way sends it again: a worker forwards it to the shopper's one."""
    forwarded = Source("clicks", 0, offset, NOW_MS + 1, forwarded_from=7)
    stored, _ = fold_batch(None, [(ORDER, at(0))])
    twice, answers = fold_batch(stored, [(ORDER, forwarded)])
    assert outcomes((ORDER, forwarded), stored=stored) == [(DUPLICATE, 0)]
    assert answers.answers["first_partition"].tolist() == [0]
    assert read(twice).events == read(stored).events
    stored, _ = fold_batch(None, [(ORDER, forwarded)])
    _, answers = fold_batch(stored, [(ORDER, at(0, NOW_MS + 2))])
    assert answers.answers[["outcome", "first_partition", "first_offset"]].tolist() == [(DUPLICATE, 7, offset)]
