"""Single profiles: between `Profile`, which people and tests read, and the record of versions 6 and 7."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

import numpy as np
import numpy.typing as npt

from inference.encoding.text import shortened
from inference.types import Vector
from streams.errors import ProfileCodecError
from streams.profiles import kernels
from streams.profiles.batch import ProfileBatch, fixed_size, texts_of
from streams.profiles.intents import TOO_LARGE
from streams.profiles.layout import (
    AFFINITIES,
    EARLIER,
    HABITS,
    LONG_TERM,
    LONGEST_AGO_MS,
    PROFILE,
    RECENT_ITEMS,
    RECENT_QUERIES,
    SHARES,
    SHORT_TERM,
    TOPICS,
    VERSION,
    VERSION_6,
)
from streams.profiles.profile import (
    AFFINITY,
    HABIT,
    RECENT,
    Activity,
    Memory,
    PastEvent,
    PastQuery,
    Position,
    PriceMoments,
    Profile,
)


@lru_cache(maxsize=8)
def new_profile(dim: int, space: int) -> bytes:
    """Return the bytes of a new shopper's profile, which has no fingerprints."""
    record = np.zeros(1, dtype=PROFILE)
    record["version"], record["dim"], record["space"] = VERSION_6, dim, space
    record["updated_ms"] = record["session_started_ms"] = LONGEST_AGO_MS
    return record.tobytes() + bytes(fixed_size(dim) - PROFILE.itemsize)


def profile_bytes(profile: Profile, dim: int) -> bytes:
    """Return the bytes of a profile, version 6 or 7. Numbers and texts are not checked any further.

    Raises:
        ProfileCodecError: a list is too long, or a number does not fit.
    """
    parts = (profile.recent, profile.queries, profile.categories, profile.brands, profile.habits, profile.earlier)
    limits = (RECENT_ITEMS, RECENT_QUERIES, AFFINITIES, AFFINITIES, HABITS, EARLIER)
    if any(np.greater([len(each) for each in parts], limits)):
        raise ProfileCodecError(kernels.FAULTS[kernels.WRONG_LENGTHS])
    record = np.frombuffer(new_profile(dim, profile.space), dtype=PROFILE, count=1).copy()[0]
    try:
        record["updated_ms"], record["session_started_ms"] = profile.updated_ms, profile.session_started_ms
        record["price_moments"] = profile.prices
        # The newest positions stay, in the order of the profile: reading and writing a profile gives the same bytes.
        newest = sorted(profile.positions.items(), key=lambda entry: (-entry[1].timestamp_ms, entry[0]))[:TOPICS]
        kept = {key: position for key, position in profile.positions.items() if (key, position) in newest}
        record["topics_length"] = len(kept)
        for place, (key, position) in enumerate(kept.items()):
            record["topic_keys"][place] = key
            record["topic_offsets"][place], record["topic_timestamps_ms"][place] = position
        _fill(record, "recent", profile.recent, ("at_ms", "keys", "sessions", "actions"))
        record["minute"], record["minute_events"], record["day_events"] = profile.activity
        record["recent_taught"][: len(profile.taught)] = np.frombuffer(profile.taught, dtype=np.uint8)
        _fill(record, "category", profile.categories, ("keys", "weights"), "categories_length")
        _fill(record, "brand", profile.brands, ("keys", "weights"), "brands_length")
        record["queries_length"] = len(profile.queries)
        for place, query in enumerate(profile.queries):
            text = shortened(query.text).encode()
            record["query_at_ms"][place], record["query_lengths"][place] = query.at_ms, len(text)
            record["query_texts"][place, : len(text)] = np.frombuffer(text, dtype=np.uint8)
        for place, event in enumerate(profile.events):
            record["event_keys"][place], record["event_offsets"][place] = event.key, event.offset
            record["event_sources"][place] = event.source
    except (OverflowError, ValueError) as error:
        raise ProfileCodecError(f"stored profile: required numbers of 64 bits, got others ({error})") from error
    vectors = bytearray()
    for kind, vector in enumerate((profile.short_term, profile.long_term)):
        shares, record["largest"][kind] = packed(vector)
        vectors += shares.tobytes()
    record["habits_length"], record["earlier_length"] = len(profile.habits), len(profile.earlier)
    if profile.earlier:
        record["version"] = VERSION
    earlier = np.array(profile.earlier, dtype="<u4").tobytes()
    return b"".join((record.tobytes(), vectors, profile.habits.astype(HABIT).tobytes(), earlier))


def read_profile(arrays: ProfileBatch, place: int) -> Profile:
    """Return the profile in a row of the arrays."""
    record, shares, habits = arrays.records[place], arrays.shares[place], arrays.habits[place]
    topics = zip(
        record["topic_keys"].tolist(),
        map(Position, record["topic_offsets"].tolist(), record["topic_timestamps_ms"].tolist()),
        strict=True,
    )
    texts = [text or "" for text in texts_of(record["query_texts"], record["query_lengths"])]
    queries = [*map(PastQuery, record["query_at_ms"].tolist(), texts)]
    events = map(PastEvent, *(record[name].tolist() for name in ("event_keys", "event_offsets", "event_sources")))
    return Profile(
        updated_ms=int(record["updated_ms"]),
        short_term=unpacked(shares[SHORT_TERM], record["largest"][SHORT_TERM]),
        long_term=unpacked(shares[LONG_TERM], record["largest"][LONG_TERM]),
        recent=_table(RECENT, record, "recent", ("at_ms", "keys", "sessions", "actions")),
        queries=tuple(queries[: int(record["queries_length"])]),
        categories=_table(AFFINITY, record, "category", ("keys", "weights"), "categories_length"),
        brands=_table(AFFINITY, record, "brand", ("keys", "weights"), "brands_length"),
        space=int(record["space"]),
        positions=dict(islice(topics, int(record["topics_length"]))),
        habits=np.frombuffer(habits[: int(record["habits_length"])].tobytes(), dtype=HABIT),
        prices=PriceMoments(*record["price_moments"].tolist()),
        session_started_ms=int(record["session_started_ms"]),
        events=tuple(event for event in events if event.key),
        activity=Activity(*(int(record[name]) for name in ("minute", "minute_events", "day_events"))),
        taught=record["recent_taught"][: int(record["recent_length"])].tobytes(),
        earlier=tuple(arrays.earlier[place, : int(record["earlier_length"])].tolist()),
    )


def packed(vector: Vector) -> tuple[npt.NDArray[np.int16], float]:
    """Return each component's share of the largest component, int16 (dim,), and the largest component."""
    largest = float(np.abs(vector).max(initial=0.0))
    if not largest < float(TOO_LARGE):
        raise ProfileCodecError("stored profile: required finite vectors, got others")
    scale = SHARES / np.float64(largest) if largest else 0.0
    return np.rint(vector * scale).astype("<i2"), largest


def unpacked(shares: npt.NDArray[np.int16], largest: float) -> Vector:
    """Return the vector of these shares, float32 (dim,)."""
    return np.asarray(shares * np.float64(largest) / SHARES, dtype=np.float32)


def _fill(record: np.void, name: str, table: Memory, columns: Sequence[str], length: str = "recent_length") -> None:
    """Write the columns of a table to the record's fields with this prefix."""
    record[length] = len(table)
    for own, column in zip(table.dtype.names or (), columns, strict=True):
        record[f"{name}_{column}"][: len(table)] = table[own]


def _table(
    dtype: np.dtype[np.void], record: np.void, name: str, columns: Sequence[str], length: str = "recent_length"
) -> Memory:
    """Return the record's fields with this prefix as a table."""
    table: Memory = np.empty(int(record[length]), dtype=dtype)
    for own, column in zip(dtype.names or (), columns, strict=True):
        table[own] = record[f"{name}_{column}"][: len(table)]
    return table
