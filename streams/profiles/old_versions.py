"""Reader of stored profiles of versions 1 to 4. The next event stores them as version 6.

They are MessagePack arrays with the version first. Each version appends fields to the former one. 1: vectors in
float16, topics by name. 2: brands. 3: vectors as int16 shares, topics by stable key, the vector space. 4: habits,
prices, the start of the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

import msgspec
import numpy as np
import numpy.typing as npt

from inference.types import Vector, stable_key
from streams.errors import ProfileCodecError
from streams.profiles.layout import SHARES
from streams.profiles.profile import AFFINITY, HABIT, RECENT, PastQuery, Position, PriceMoments, Profile

NEWEST = 4

_LARGEST = Struct("<f")
_UNREADABLE = (msgspec.DecodeError, RecursionError, ValueError)


class _Wire(msgspec.Struct, array_like=True, frozen=True):
    version: int
    updated_ms: int
    short_term: bytes
    long_term: bytes
    recent: bytes
    queries: tuple[PastQuery, ...]
    categories: bytes
    positions: Mapping[str | int, Position]
    brands: bytes = b""
    space: int = 0
    habits: bytes = b""
    prices: PriceMoments = PriceMoments()
    session_started_ms: int | None = None


_decoder = msgspec.msgpack.Decoder(_Wire)


def decode_older(data: bytes, dim: int, space: int) -> Profile:
    """Return the profile of these bytes of version 1 to 4, for a model of `dim` dimensions and vector `space`.

    Vectors of another space become zero. The profile keeps the space that they were of.

    Raises:
        ProfileCodecError: the bytes are no such profile.
    """
    try:
        wire = _decoder.decode(data)
        if not 1 <= wire.version <= NEWEST:
            raise ProfileCodecError(
                f"stored profile: required version 1 to {NEWEST} in MessagePack, got {wire.version}"
            )
        vector = _zero if wire.space != space else _half if wire.version < 3 else _unpacked
        return Profile(
            updated_ms=wire.updated_ms,
            short_term=vector(wire.short_term, dim),
            long_term=vector(wire.long_term, dim),
            recent=np.frombuffer(wire.recent, dtype=RECENT),
            queries=wire.queries,
            categories=np.frombuffer(wire.categories, dtype=AFFINITY),
            brands=np.frombuffer(wire.brands, dtype=AFFINITY),
            space=wire.space,
            positions={
                stable_key(topic) if isinstance(topic, str) else topic: position
                for topic, position in wire.positions.items()
            },
            habits=np.frombuffer(wire.habits, dtype=HABIT),
            prices=wire.prices,
            session_started_ms=wire.updated_ms if wire.session_started_ms is None else wire.session_started_ms,
        )
    except _UNREADABLE as error:
        raise ProfileCodecError(f"stored profile: required a profile, got {len(data)} other bytes ({error})") from error


def scaled(shares: npt.NDArray[np.int16], largest: float) -> Vector:
    """Return the vector (dim,) of these shares of its largest component."""
    if not 0 <= largest < 2**127:
        raise ProfileCodecError("stored profile: required finite vectors, got others")
    # Computed in float64, so that the largest component, and with it the stored bytes, stay exactly the same.
    return np.asarray(shares * np.float64(largest) / SHARES, dtype=np.float32)


def _zero(_data: bytes, dim: int) -> Vector:
    return np.zeros(dim, dtype=np.float32)


def _unpacked(data: bytes, dim: int) -> Vector:
    _check_size(data, dim, _LARGEST.size + 2 * dim)
    (largest,) = _LARGEST.unpack_from(data)
    return scaled(np.frombuffer(data, dtype="<i2", offset=_LARGEST.size), largest)


def _half(data: bytes, dim: int) -> Vector:
    _check_size(data, dim, 2 * dim)
    vector = np.frombuffer(data, dtype="<f2").astype(np.float32)
    if not np.isfinite(vector).all():
        raise ProfileCodecError("stored profile: required finite vectors, got others")
    return vector


def _check_size(data: bytes, dim: int, size: int) -> None:
    if len(data) != size:
        raise ProfileCodecError(f"stored profile: required vectors of {dim} dimensions, got {len(data)} bytes")
