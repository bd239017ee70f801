"""How shoppers come to an item: the items before it and the searches that led there, folded from approaches. Pure.

The state of an item is bytes: MessagePack with the version first, as a profile is. New fields are only ever appended.

Weights decay forward (Cormode et al. 2009, doi:10.1109/ICDE.2009.65), kept as Σ w · 2^((t − L) / h) against a landmark
L: time passes without touching them, late approaches weigh what they should, and their order does not matter.

Where there is no room, the lightest goes, whatever the newcomer brings; weights decay, so what came once makes room by
itself. Space-Saving (Metwally et al. 2005, doi:10.1007/978-3-540-30570-5_27) would give the newcomer its weight too. On
a wholesaler's invoices, next item, that found 4% less, even told by its lower bound; without a bound it would be 1%
more. Only here does order matter.

A search may be private: what one shopper alone typed is kept, and never told. A query is told once two shoppers came by
it, which 16 bits of the first one's key tell apart; in one of 65,536 cases two shoppers pass for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import TypeVar

import msgspec

from inference.encoding.text import shortened
from inference.types import ItemNeighbours
from streams.contracts.messages import Approach
from streams.errors import PairsCodecError
from streams.items.trending import LARGEST_EXPONENT, decay
from streams.profiles.profile import Position, id_key

VERSION = 1
BEFORE, QUERIES, POSITIONS = 64, 8, 64
"""What is kept of an item at most. Beyond so many partitions the one that was silent longest is forgotten first: what
is replayed is what came last."""

K = TypeVar("K", int, str)


@dataclass(frozen=True, slots=True)
class PairRules:
    """How long an approach counts, in milliseconds of event time."""

    half_life_ms: float = 60 * 86_400e3


class _Item(msgspec.Struct, array_like=True):
    """Weights are measured against `landmark_ms`.

    `alone` holds the mark of the only shopper who came by a query so far; a query that is not in it has had two.
    """

    version: int
    half_life_ms: float
    landmark_ms: int
    latest_ms: int
    mass: float
    before: dict[int, float]
    queries: dict[str, float]
    alone: dict[str, int]
    positions: dict[int, Position]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Item)


def fold(state: bytes | None, approach: Approach, rules: PairRules) -> bytes:
    """Fold one approach into the state of its item; the same bytes come back for a replay.

    Args:
        state: what is known of the item, None for nothing.
        approach: how a shopper came to it.
        rules: the half-life. Where it changes, what was counted before decays by the old one until now.

    Raises:
        PairsCodecError: `state` is unreadable.
    """
    item = _new(approach, rules) if state is None else _decoded(state)
    place = id_key(f"{approach.topic}/{approach.partition}")
    last = item.positions.get(place)
    if state is not None and last is not None and _is_replay(last, approach):
        return state
    item.latest_ms = max(item.latest_ms, approach.at_ms)
    too_far = item.latest_ms - item.landmark_ms > LARGEST_EXPONENT * rules.half_life_ms
    if too_far or item.half_life_ms != rules.half_life_ms:
        _rebase(item, rules.half_life_ms)
    growth = decay(item.landmark_ms - approach.at_ms, rules.half_life_ms)
    item.mass += approach.weight * growth
    _count(item.before, {key: w * growth for key, w in approach.before.items()}, BEFORE)
    if approach.query:
        _count_query(item, shortened(approach.query), approach.weight * growth, approach.shopper)
    _move_on(item.positions, place, approach)
    return _encoder.encode(item)


def neighbours(key: int, state: bytes) -> ItemNeighbours:
    """Return what is told of the item with this stable key, heaviest first, decayed to its newest approach.

    Raises PairsCodecError.
    """
    item = _decoded(state)
    factor = decay(item.latest_ms - item.landmark_ms, item.half_life_ms)
    shared = {query: weight for query, weight in item.queries.items() if query not in item.alone}
    return ItemNeighbours(
        key=key,
        as_of_ms=item.latest_ms,
        mass=item.mass * factor,
        before=_told(item.before, factor),
        queries=_told(shared, factor),
    )


def _new(approach: Approach, rules: PairRules) -> _Item:
    return _Item(VERSION, rules.half_life_ms, approach.at_ms, approach.at_ms, 0.0, {}, {}, {}, {})


def _decoded(state: bytes) -> _Item:
    try:
        item = _decoder.decode(state)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise PairsCodecError(f"stored pairs: {len(state)} bytes that are none ({error})") from error
    if not 1 <= item.version <= VERSION or not item.half_life_ms > 0:
        raise PairsCodecError(f"stored pairs: version 1 to {VERSION} and a half-life required, others came")
    return item


def _is_replay(last: Position, approach: Approach) -> bool:
    """Tell whether an approach was counted, as `profile.is_replay` does: by offset and by the broker's clock."""
    return approach.offset <= last.offset and approach.timestamp_ms <= last.timestamp_ms


def _move_on(positions: dict[int, Position], place: int, approach: Approach) -> None:
    last = positions.get(place)
    newest_ms = approach.timestamp_ms if last is None else max(last.timestamp_ms, approach.timestamp_ms)
    positions[place] = Position(approach.offset, newest_ms)
    if len(positions) > POSITIONS:
        del positions[min(positions, key=lambda each: (positions[each].timestamp_ms, each))]


def _rebase(item: _Item, half_life_ms: float) -> None:
    """Measure against the newest approach, from now on with this half-life."""
    factor = decay(item.latest_ms - item.landmark_ms, item.half_life_ms)
    item.mass *= factor
    item.before, item.queries = _scaled(item.before, factor), _scaled(item.queries, factor)
    item.landmark_ms, item.half_life_ms = item.latest_ms, half_life_ms


def _scaled(weights: Mapping[K, float], factor: float) -> dict[K, float]:
    return {key: weight * factor for key, weight in weights.items()}


def _count(weights: dict[K, float], added: Mapping[K, float], room: int) -> list[K]:
    """Add weights, and return the keys that had to go for them: the lightest, ties by key."""
    newcomers = {}
    for key, weight in added.items():
        if key in weights:
            weights[key] += weight
        elif len(weights) < room:
            weights[key] = weight
        else:
            newcomers[key] = weight
    gone = [key for key, _ in nsmallest(len(newcomers), weights.items(), key=_lightest)] if newcomers else []
    for key in gone:
        del weights[key]
    weights.update(newcomers)
    return gone


def _lightest(entry: tuple[K, float]) -> tuple[float, K]:
    return entry[1], entry[0]


def _count_query(item: _Item, query: str, weight: float, shopper: int) -> None:
    if query not in item.queries:
        item.alone[query] = shopper
    elif item.alone.get(query, shopper) != shopper:
        del item.alone[query]
    for gone in _count(item.queries, {query: weight}, QUERIES):
        item.alone.pop(gone, None)


def _told(weights: Mapping[K, float], factor: float) -> dict[K, float]:
    """Return weights decayed by `factor`, heaviest first, ties by key."""
    heaviest = sorted(weights.items(), key=lambda entry: (-entry[1], entry[0]))
    return {key: decayed for key, weight in heaviest if (decayed := weight * factor) > 0}
