"""A profile as bytes: how it lies in RocksDB and on the changelog.

MessagePack with the version first; vectors as float16, whose relative error of 2⁻¹¹ is far below what a single action
adds. New fields are only ever appended, with a default, so that every version reads the ones before it.
"""

from __future__ import annotations

import msgspec
import numpy as np

from inference.types import Vector
from streams.errors import ProfileCodecError
from streams.profiles.profile import AFFINITY, RECENT, PastQuery, Position, Profile

VERSION = 2
"""1: without brands. 2: brands."""


class _Wire(msgspec.Struct, array_like=True, frozen=True):
    version: int
    updated_ms: int
    short_term: bytes
    long_term: bytes
    recent: bytes
    queries: tuple[PastQuery, ...]
    categories: bytes
    positions: dict[str, Position]
    brands: bytes = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Wire)


def encode(profile: Profile) -> bytes:
    """Return the bytes of a profile in the newest version."""
    return _encoder.encode(
        _Wire(
            VERSION,
            profile.updated_ms,
            _half(profile.short_term),
            _half(profile.long_term),
            profile.recent.tobytes(),
            profile.queries,
            profile.categories.tobytes(),
            dict(profile.positions),
            profile.brands.tobytes(),
        )
    )


def decode(data: bytes, dim: int) -> Profile:
    """Read a profile of `dim` dimensions, of this version or any before.

    Raises:
        ProfileCodecError: the bytes are no profile, of a newer version, or of other dimensions.
    """
    try:
        wire = _decoder.decode(data)
        if not 1 <= wire.version <= VERSION:
            raise ProfileCodecError(f"stored profile: version 1 to {VERSION} required, {wire.version} came")
        return Profile(
            updated_ms=wire.updated_ms,
            short_term=_vector(wire.short_term, dim),
            long_term=_vector(wire.long_term, dim),
            recent=np.frombuffer(wire.recent, dtype=RECENT),
            queries=wire.queries,
            categories=np.frombuffer(wire.categories, dtype=AFFINITY),
            brands=np.frombuffer(wire.brands, dtype=AFFINITY),
            positions=wire.positions,
        )
    except (msgspec.DecodeError, ValueError) as error:
        raise ProfileCodecError(f"stored profile: {len(data)} bytes that are no profile ({error})") from error


def _half(vector: Vector) -> bytes:
    return np.clip(vector, -65504, 65504).astype("<f2").tobytes()


def _vector(data: bytes, dim: int) -> Vector:
    if len(data) != 2 * dim:
        raise ProfileCodecError(f"stored profile: vectors of {dim} dimensions required, {len(data) // 2} came")
    return np.frombuffer(data, dtype="<f2").astype(np.float32)
