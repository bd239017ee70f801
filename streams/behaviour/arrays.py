"""Behaviour of a batch of folded events as arrays, for a replay: no message for each event. No I/O.

`streams.behaviour.messages` makes the same as the messages that workers publish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.kernels.cooccurrence_fold import TRANSITION
from inference.queries import QueryBatch
from inference.types import SessionItems
from streams.behaviour.array_kernels import Actions, Output, write_transitions
from streams.behaviour.messages import FEWEST_ITEMS, SHOPPER_MARK, purchases, remembered, session_name_key, trends
from streams.behaviour.packed import PackedTransitions, packed_query, partition_key
from streams.items.live import LiveCatalogue
from streams.items.trend_counts import PurchaseCounts, TrendIncrements
from streams.profiles.batch import DUPLICATE, SEARCH, AnswerBatch, texts_of
from streams.profiles.events import Event, PackedEvents
from streams.profiles.teaching import BY_ROBOT


@dataclass(frozen=True, slots=True, eq=False)
class FoldedReplay:
    """Result of folding a batch of events, for a replay.

    Attributes:
        profiles: newest bytes of each shopper's profile.
        queries: one query for each event, in order, with the shopper's state after that event.
        transitions: item transitions of the actions that teach, in order.
        sessions: their sessions, each once and as it is after the batch, in the order of the last changes.
        trends: actions to count, in order.
        purchases: purchases of returning buyers, and those that repeat an item, by partition.
    """

    profiles: list[bytes]
    queries: QueryBatch
    transitions: PackedTransitions
    sessions: list[SessionItems]
    trends: TrendIncrements
    purchases: PurchaseCounts


def behaviour_arrays(
    events: Sequence[Event], packed: PackedEvents, answers: AnswerBatch, catalogue: LiveCatalogue,
    shopper_key: Callable[[str], int], trends_events_per_day: int,
) -> tuple[PackedTransitions, list[SessionItems], TrendIncrements, PurchaseCounts]:  # fmt: skip
    """Return the transitions, sessions, trends and purchases of events.

    Args:
        events: the folded events.
        packed: the same as arrays.
        answers: the answers of their fold.
        catalogue: the items that are served.
        shopper_key: returns the key of a user id.
        trends_events_per_day: events of a shopper's day that count for trends.
    """
    records = answers.answers
    is_action = (packed.batch.events["action"] != SEARCH) & (records["outcome"] != DUPLICATE)
    is_action &= records["unlearned"] != BY_ROBOT
    keys = np.array([shopper_key(event.interaction.user_id) for event in events], dtype=np.uint64)
    return (
        _transitions(events, packed, answers, keys, is_action, catalogue),
        _sessions(events, answers, keys, is_action),
        trends(packed, answers, trends_events_per_day),
        purchases(packed, answers),
    )


def _transitions(
    events: Sequence[Event], packed: PackedEvents, answers: AnswerBatch, shoppers: npt.NDArray[np.uint64],
    is_action: npt.NDArray[np.bool_], catalogue: LiveCatalogue,
) -> PackedTransitions:  # fmt: skip
    records = answers.answers
    (places,) = (is_action & (records["learned"] > 0)).nonzero()
    before, tied = (records[name][places] for name in ("before_length", "tied_length"))
    number = len(places)
    queries, lengths, texts = np.zeros(number, dtype=np.uint64), np.zeros(number, dtype=np.int64), bytearray()
    searched = np.flatnonzero(records["led_query_length"][places])
    if len(searched):
        rows = places[searched]
        found = texts_of(records["led_query"][rows], records["led_query_length"][rows])
        for place, query in zip(searched.tolist(), found, strict=True):
            name = remembered(query or "")
            if name:
                queries[place], text = packed_query(name)
                lengths[place] = len(text)
                texts += text
    tied_keys = np.unique(np.concatenate([np.empty(0, dtype=np.uint64), *(
        records["before"][place, start : start + size]
        for place, start, size in zip(places.tolist(), before.tolist(), tied.tolist(), strict=True) if size
    )]))  # fmt: skip
    is_served = np.array([catalogue.by_key(key) is not None for key in tied_keys.tolist()], dtype=np.bool_)
    partitions = [
        partition_key(events[place].source.stream, events[place].source.partition) for place in places.tolist()
    ]
    all_tied = int(tied.sum())
    # The kernel cannot allocate, so these are upper bounds: an action makes a transition for itself and one for each
    # tied item, and each of these has one item before it.
    most, most_before = number + all_tied, int(before.sum()) + 2 * all_tied
    output = Output(
        np.empty(most, dtype=np.uint64),
        np.zeros(most, dtype=TRANSITION),
        np.empty(most_before, dtype=np.uint64),
        np.empty(most_before),
    )
    actions = Actions(
        places, np.array(partitions, dtype=np.uint64), (shoppers[places] & np.uint64(SHOPPER_MARK)).astype(np.int64),
        queries, lengths, tied_keys[is_served],
    )  # fmt: skip
    made, held = write_transitions(packed.batch.events, records, actions, output)
    return PackedTransitions(
        output.keys[:made], output.records[:made], output.before[:held], output.weights[:held],
        np.frombuffer(texts, dtype=np.uint8),
    )  # fmt: skip


def _sessions(
    events: Sequence[Event], answers: AnswerBatch, shoppers: npt.NDArray[np.uint64], is_action: npt.NDArray[np.bool_]
) -> list[SessionItems]:
    """Return the newest state of each session. Earlier ones of the batch would be replaced unread."""
    records, starts = answers.answers, answers.exclude_starts
    lengths = answers.queries["session_length"]
    (places,) = (is_action & (lengths >= FEWEST_ITEMS)).nonzero()
    found: dict[tuple[int, str | None, int], SessionItems] = {}
    columns = (shoppers, records["session_started_ms"], records["session_at_ms"], starts[:-1], lengths)
    # From the last event on, the first state that is found of a session is its newest.
    newest_first = places[::-1]
    for place, shopper, started_ms, at_ms, start, length in zip(
        newest_first.tolist(), *(column[newest_first].tolist() for column in columns), strict=True
    ):
        session_id = events[place].interaction.session_id
        name = shopper, session_id, started_ms
        if name not in found:
            found[name] = SessionItems(
                key=session_name_key(shopper, session_id, started_ms),
                at_ms=at_ms,
                items=tuple(answers.exclude[start : start + length][::-1].tolist()),
                shopper=shopper & SHOPPER_MARK,
            )
    return list(found.values())[::-1]
