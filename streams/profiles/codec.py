"""A profile as bytes: how it lies in RocksDB and on the changelog.

MessagePack with the version first. New fields are only ever appended, with a default, so that every version reads the
ones before it.

A vector is its largest component as float32 beside every component's share of it as int16. Time passing scales all
components alike, so it changes the float32 and no share. As float16 each component would round for itself: what decays
by less than 2⁻¹² from one action to the next, as the long-term intent does in a session, would not decay at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from struct import Struct

import msgspec
import numpy as np
import numpy.typing as npt

from inference.types import Vector, stable_key
from streams.errors import ProfileCodecError
from streams.profiles.habits import HABIT, PriceMoments
from streams.profiles.profile import ACTIONS, AFFINITY, RECENT, Memory, PastQuery, Position, Profile

VERSION = 4
"""1: vectors in float16, topics by name. 2: brands. 3: vectors in int16, topics by stable key, the vector space.
4: habits, prices, the start of the session."""

_LARGEST = Struct("<f")
_SHARES = 2**15 - 1
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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)


def encode(profile: Profile) -> bytes:
    """Return the bytes of a profile in the newest version."""
    return store(profile)[0]


def store(profile: Profile) -> tuple[bytes, Profile]:
    """Return the bytes of a profile in the newest version, and the profile that `decode` would read from them.

    Only the vectors are rounded, so there is no need to read it all again. Raises ProfileCodecError: not finite.
    """
    short_term, short_rounded = _packed(profile.short_term)
    long_term, long_rounded = _packed(profile.long_term)
    data = _encoder.encode(
        _Wire(
            VERSION,
            profile.updated_ms,
            short_term,
            long_term,
            profile.recent.tobytes(),
            profile.queries,
            profile.categories.tobytes(),
            dict(profile.positions.items()),
            profile.brands.tobytes(),
            profile.space,
            profile.habits.tobytes(),
            profile.prices,
            profile.session_started_ms,
        )
    )
    return data, replace(profile, short_term=short_rounded, long_term=long_rounded)


def decode(data: bytes, dim: int, space: int) -> Profile:
    """Read a profile, of this version or any before, for a model of `dim` dimensions and its vector `space`.

    Vectors of another space mean nothing here and come back as zero, with the space that they were of.

    Raises:
        ProfileCodecError: the bytes are no profile, or of a newer version.
    """
    try:
        wire = _decoder.decode(data)
        if not 1 <= wire.version <= VERSION:
            raise ProfileCodecError(f"stored profile: version 1 to {VERSION} required, {wire.version} came")
        vector = _nothing if wire.space != space else _half if wire.version < 3 else _unpacked
        return Profile(
            updated_ms=wire.updated_ms,
            short_term=vector(wire.short_term, dim),
            long_term=vector(wire.long_term, dim),
            recent=_recent(wire.recent),
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
        raise ProfileCodecError(f"stored profile: {len(data)} bytes that are no profile ({error})") from error


def _nothing(_data: bytes, dim: int) -> Vector:
    return np.zeros(dim, dtype=np.float32)


def _packed(vector: Vector) -> tuple[bytes, Vector]:
    """Return a vector's bytes, and the vector that is read from them."""
    largest = float(np.abs(vector).max(initial=0.0))
    shares = np.rint(vector * (_SHARES / np.float64(largest)) if largest else vector).astype("<i2")
    return _LARGEST.pack(largest) + shares.tobytes(), _scaled(shares, largest)


def _unpacked(data: bytes, dim: int) -> Vector:
    _check_size(data, dim, _LARGEST.size + 2 * dim)
    (largest,) = _LARGEST.unpack_from(data)
    return _scaled(np.frombuffer(data, dtype="<i2", offset=_LARGEST.size), largest)


def _scaled(shares: npt.NDArray[np.int16], largest: float) -> Vector:
    if not 0 <= largest < 2**127:
        raise ProfileCodecError("stored profile: finite vectors required, others came")
    # In float64, so that the largest component comes back bit by bit, and with it the bytes.
    return np.asarray(shares * np.float64(largest) / _SHARES, dtype=np.float32)


def _half(data: bytes, dim: int) -> Vector:
    _check_size(data, dim, 2 * dim)
    vector = np.frombuffer(data, dtype="<f2").astype(np.float32)
    if not np.isfinite(vector).all():
        raise ProfileCodecError("stored profile: finite vectors required, others came")
    return vector


def _check_size(data: bytes, dim: int, size: int) -> None:
    if len(data) != size:
        raise ProfileCodecError(f"stored profile: vectors of {dim} dimensions required, {len(data)} bytes came")


def _recent(data: bytes) -> Memory:
    recent = np.frombuffer(data, dtype=RECENT)
    if len(recent) and recent["action"].max() >= len(ACTIONS):
        raise ProfileCodecError(f"stored profile: actions 0 to {len(ACTIONS) - 1} required, others came")
    return recent
