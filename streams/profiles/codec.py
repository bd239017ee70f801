"""Codec of stored profiles: reads bytes of any version into checked arrays for kernels, writes version 5.

`layout.py` describes version 5. `old_versions.py` reads versions 1 to 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import islice
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.encoding.text import shortened
from inference.types import Vector
from streams.errors import ProfileCodecError
from streams.profiles import kernels
from streams.profiles.batch import ProfileBatch
from streams.profiles.intents import TOO_LARGE
from streams.profiles.layout import (
    AFFINITIES,
    HABITS,
    LARGEST_TIME_MS,
    LONG_TERM,
    LONGEST_AGO_MS,
    PROFILE,
    RECENT_ITEMS,
    RECENT_QUERIES,
    SHARES,
    SHORT_TERM,
    TOPICS,
    VERSION,
    fixed_size,
)
from streams.profiles.layout import HABIT as HABIT_BITS
from streams.profiles.old_versions import decode_older
from streams.profiles.profile import (
    ACTION_TYPES,
    ACTIONS,
    AFFINITY,
    HABIT,
    RECENT,
    Memory,
    PastQuery,
    Position,
    PriceMoments,
    Profile,
    ProfileRules,
)

VectorOf = Callable[[int], Vector | None]
"""Function from an item's stable key to its unit vector (dim,), None if it has none."""

_HABITS_LENGTH = PROFILE.fields["habits_length"][1]  # type: ignore[index]
_SPACE_AT = PROFILE.fields["space"][1]  # type: ignore[index]
_DIM_AT = PROFILE.fields["dim"][1]  # type: ignore[index]
_RECORD_BYTES, _HABITS_BYTES = PROFILE.itemsize, HABITS * HABIT_BITS.itemsize
_SPACE, _DIM = Struct("<Q"), Struct("<H")
_FIRST_BYTE_OF_ARRAYS = 0x80
_REFUSALS = {
    kernels.WRONG_LENGTHS: f"stored profile: required at most {RECENT_ITEMS} items, {RECENT_QUERIES} searches, "
    f"{AFFINITIES} labels, {TOPICS} topics and {HABITS} habits, got more",
    kernels.WRONG_ACTIONS: f"stored profile: required actions 0 to {len(ACTIONS) - 1}, got others",
    kernels.NOT_FINITE: "stored profile: required finite vectors and weights, got others",
    kernels.WRONG_TIMES: f"stored profile: required times within ±{LARGEST_TIME_MS} ms, got others",
}


class Shoppers:
    """Profiles of a batch of shoppers as arrays, which kernels change in place.

    Args:
        stored: bytes of each shopper's profile, of any version; None for a new shopper.
        dim: dimensions of the model's vectors.
        space: stable key of the model's vector space.

    Attributes:
        arrays: the arrays.
        of_other_space: rows whose vectors were of another space and are zero now. `renew` computes them again.

    Raises:
        ProfileCodecError: some profiles are unreadable; its `reasons` name them.
    """

    def __init__(self, stored: Sequence[bytes | None], dim: int, space: int) -> None:
        self.arrays = ProfileBatch.empty(len(stored), dim)
        self.of_other_space: list[int] = []
        self._dim, self._space = dim, space
        self._fixed = fixed_size(dim)
        refused: dict[int, str] = {}
        records, shares, habits = map(_bytes_of, self.arrays)
        nothing, fixed, share_bytes = _nothing(dim, space), self._fixed, 4 * dim
        # Copy the bytes of each profile into its rows: version 5 needs no parsing. A new shopper's profile replaces an
        # unreadable one, so that `check` can run over all rows. The batch is refused as a whole afterwards.
        for place, data in enumerate(stored):
            if data is None:
                data = nothing
            elif not self._is_as_needed(data):
                try:
                    data = self._adapted(data, place)
                except ProfileCodecError as error:
                    refused[place], data = str(error), nothing
            start = place * _RECORD_BYTES
            records[start : start + _RECORD_BYTES] = data[:_RECORD_BYTES]
            start = place * share_bytes
            shares[start : start + share_bytes] = data[_RECORD_BYTES:fixed]
            if len(data) > fixed:
                start = place * _HABITS_BYTES
                habits[start : start + len(data) - fixed] = data[fixed:]
        found = np.empty(len(stored), dtype=np.uint8)
        if kernels.check(self.arrays, found):
            refused |= {place: _REFUSALS[code] for place, code in enumerate(found.tolist()) if code}
        if refused:
            raise ProfileCodecError(next(iter(refused.values())), refused)

    def renew(self, vector_of: VectorOf, rules: ProfileRules) -> None:
        """Compute the vectors of these rows again from their remembered items. Older actions are lost from them."""
        half_lives_ms = (rules.short_term_half_life_ms, rules.long_term_half_life_ms)
        for place in self.of_other_space:
            record = self.arrays.records[place]
            vectors = np.zeros((2, self._dim), dtype=np.float32)
            for j in range(int(record["recent_length"])):
                vector = vector_of(int(record["recent_keys"][j]))
                if vector is not None:
                    weight = rules.weights[ACTION_TYPES[int(record["recent_actions"][j])]]
                    idle_ms = int(record["updated_ms"]) - int(record["recent_at_ms"][j])
                    for own, half_life_ms in zip(vectors, half_lives_ms, strict=True):
                        own += vector * np.float32(weight * 2.0 ** (-idle_ms / half_life_ms))
            for kind, vector in enumerate(vectors):
                self.arrays.shares[place, kind], record["largest"][kind] = packed(vector)
            record["space"] = self._space
        self.of_other_space = []

    def stored(self) -> list[bytes]:
        """Return the bytes of each profile, version 5."""
        records, shares, habits = (array.tobytes() for array in self.arrays)
        share_bytes = 4 * self._dim
        return [
            b"".join(
                (
                    records[place * _RECORD_BYTES : (place + 1) * _RECORD_BYTES],
                    shares[place * share_bytes : (place + 1) * share_bytes],
                    habits[place * _HABITS_BYTES : place * _HABITS_BYTES + number * HABIT_BITS.itemsize],
                )
            )
            for place, number in enumerate(self.arrays.records["habits_length"].tolist())
        ]

    def _is_as_needed(self, data: bytes) -> bool:
        """Return whether bytes are a whole version 5 in the model's space, as nearly all are."""
        return (
            len(data) >= self._fixed
            and data[0] == VERSION
            and len(data) == self._fixed + data[_HABITS_LENGTH] * HABIT_BITS.itemsize
            and data[_HABITS_LENGTH] <= HABITS
            and _SPACE.unpack_from(data, _SPACE_AT)[0] == self._space
            and _DIM.unpack_from(data, _DIM_AT)[0] == self._dim
        )

    def _adapted(self, data: bytes, place: int) -> bytes:
        """Convert bytes of another version, space or dimension to version 5 for the model. Raises ProfileCodecError."""
        if not data or data[0] >= _FIRST_BYTE_OF_ARRAYS:
            profile = decode_older(data, self._dim, self._space)
            if profile.space != self._space:
                self.of_other_space.append(place)
            return _encode(profile, self._dim)
        if data[0] != VERSION:
            raise ProfileCodecError(f"stored profile: required version 1 to {VERSION}, got {data[0]}")
        if len(data) < PROFILE.itemsize:
            raise ProfileCodecError(f"stored profile: required a profile, got {len(data)} other bytes")
        dim, habits = _DIM.unpack_from(data, _DIM_AT)[0], data[_HABITS_LENGTH]
        is_stranger = _SPACE.unpack_from(data, _SPACE_AT)[0] != self._space
        if dim != self._dim and not is_stranger:
            raise ProfileCodecError(f"stored profile: required vectors of {self._dim} dimensions, got {dim}")
        if habits > HABITS or len(data) != fixed_size(dim) + habits * HABIT_BITS.itemsize:
            raise ProfileCodecError(f"stored profile: required a profile, got {len(data)} other bytes")
        # Only the space differs here. The stored vectors mean nothing in the model's space, so they become zero.
        record = np.frombuffer(data, dtype=PROFILE, count=1).copy()
        record["largest"], record["dim"] = 0, self._dim
        self.of_other_space.append(place)
        return record.tobytes() + bytes(self._fixed - PROFILE.itemsize) + data[fixed_size(dim) :]


def load(stored: bytes | None, dim: int, space: int) -> bytes:
    """Return a stored profile of any version as bytes of version 5. None stands for a new shopper.

    Vectors of another space become zero. The profile keeps the space that they were of.

    Raises:
        ProfileCodecError: the bytes are no profile, or of a newer version.
    """
    return Shoppers([stored], dim, space).stored()[0]


def decode(stored: bytes, dim: int, space: int) -> Profile:
    """Return a stored profile of any version in readable form. Raises ProfileCodecError, as `load` does."""
    shoppers = Shoppers([stored], dim, space)
    record, habits = shoppers.arrays.records[0], shoppers.arrays.habits[0]
    shares = shoppers.arrays.shares[0]
    topics = zip(
        record["topic_keys"].tolist(),
        map(Position, record["topic_offsets"].tolist(), record["topic_timestamps_ms"].tolist()),
        strict=True,
    )
    texts = [text or "" for text in texts_of(record["query_texts"], record["query_lengths"])]
    queries = [*map(PastQuery, record["query_at_ms"].tolist(), texts)]
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
    )


def encode(profile: Profile) -> bytes:
    """Return the bytes of a profile, version 5, for tests and tools. Raises ProfileCodecError, as `load` does."""
    data = _encode(profile, len(profile.short_term))
    load(data, len(profile.short_term), profile.space)
    return data


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


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    """Return the memory of an array as bytes that can be written."""
    return array.reshape(-1).view(np.uint8).data


def texts_of(texts: npt.NDArray[np.uint8], lengths: npt.NDArray[np.uint8]) -> list[str | None]:
    """Return the texts of stored searches, (n, QUERY_BYTES) in UTF-8. The text of length 0 is None."""
    data, width = texts.tobytes(), texts.shape[1]
    return [
        data[place * width : place * width + length].decode("utf-8", "replace") if length else None
        for place, length in enumerate(lengths.tolist())
    ]


@lru_cache(maxsize=8)
def _nothing(dim: int, space: int) -> bytes:
    """Return the bytes of a new shopper's profile, version 5."""
    record = np.zeros(1, dtype=PROFILE)
    record["version"], record["dim"], record["space"] = VERSION, dim, space
    record["updated_ms"] = record["session_started_ms"] = LONGEST_AGO_MS
    return record.tobytes() + bytes(fixed_size(dim) - PROFILE.itemsize)


def _encode(profile: Profile, dim: int) -> bytes:
    lengths = (len(profile.recent), len(profile.queries), len(profile.categories), len(profile.brands))
    if any(np.greater((*lengths, len(profile.habits)), (RECENT_ITEMS, RECENT_QUERIES, AFFINITIES, AFFINITIES, HABITS))):
        raise ProfileCodecError(_REFUSALS[kernels.WRONG_LENGTHS])
    record = np.frombuffer(_nothing(dim, profile.space), dtype=PROFILE, count=1).copy()[0]
    try:
        record["updated_ms"], record["session_started_ms"] = profile.updated_ms, profile.session_started_ms
        record["price_moments"] = profile.prices
        newest = sorted(profile.positions.items(), key=lambda entry: (-entry[1].timestamp_ms, entry[0]))[:TOPICS]
        kept = {key: position for key, position in profile.positions.items() if (key, position) in newest}
        record["topics_length"] = len(kept)
        for place, (key, position) in enumerate(kept.items()):
            record["topic_keys"][place] = key
            record["topic_offsets"][place], record["topic_timestamps_ms"][place] = position
        _fill(record, "recent", profile.recent, ("at_ms", "keys", "sessions", "actions"))
        _fill(record, "category", profile.categories, ("keys", "weights"), "categories_length")
        _fill(record, "brand", profile.brands, ("keys", "weights"), "brands_length")
        record["queries_length"] = len(profile.queries)
        for place, query in enumerate(profile.queries):
            text = shortened(query.text).encode()
            record["query_at_ms"][place], record["query_lengths"][place] = query.at_ms, len(text)
            record["query_texts"][place, : len(text)] = np.frombuffer(text, dtype=np.uint8)
    except (OverflowError, ValueError) as error:
        raise ProfileCodecError(f"stored profile: required numbers of 64 bits, got others ({error})") from error
    vectors = bytearray()
    for kind, vector in enumerate((profile.short_term, profile.long_term)):
        shares, record["largest"][kind] = packed(vector)
        vectors += shares.tobytes()
    record["habits_length"] = len(profile.habits)
    return b"".join((record.tobytes(), vectors, profile.habits.astype(HABIT).tobytes()))


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
