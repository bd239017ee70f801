"""Codec of stored profiles: reads bytes of any version into checked arrays for kernels, writes versions 6 and 7.

`layout.py` describes versions 5 to 7. `old_versions.py` reads versions 1 to 4. `readable.py` converts single profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.types import Vector
from streams.errors import ProfileCodecError
from streams.profiles import kernels
from streams.profiles.batch import ProfileBatch, fixed_size
from streams.profiles.layout import EARLIER, HABIT, HABITS, PROFILE, RECORD_5, VERSION, VERSION_5, VERSION_6
from streams.profiles.old_versions import decode_older
from streams.profiles.profile import ACTION_TYPES, Profile, ProfileRules
from streams.profiles.readable import new_profile, packed, profile_bytes, read_profile

VectorOf = Callable[[int], Vector | None]
"""Function from an item's stable key to its unit vector (dim,), None if it has none."""

_HABITS_LENGTH = PROFILE.fields["habits_length"][1]  # type: ignore[index]
_EARLIER_LENGTH = PROFILE.fields["earlier_length"][1]  # type: ignore[index]
_SPACE_AT = PROFILE.fields["space"][1]  # type: ignore[index]
_DIM_AT = PROFILE.fields["dim"][1]  # type: ignore[index]
_RECORD_BYTES, _HABITS_ROW_BYTES, _EARLIER_ROW_BYTES = PROFILE.itemsize, HABITS * HABIT.itemsize, EARLIER * 4
_SPACE, _DIM = Struct("<Q"), Struct("<H")
_FIRST_BYTE_OF_ARRAYS = 0x80
NO_SPACE = 1
"""Key of no vector space: stable keys are hashes, and 0 is that of profiles before vector spaces had names."""


def _is_whole(data: bytes, dim: int) -> bool:
    """Return whether bytes of a record or more are a whole version 6 or 7 with vectors of `dim` dimensions."""
    habits, earlier = data[_HABITS_LENGTH], data[_EARLIER_LENGTH]
    return (
        data[0] == (VERSION if earlier else VERSION_6)
        and len(data) == fixed_size(dim) + habits * HABIT.itemsize + 4 * earlier
        and habits <= HABITS
        and earlier <= EARLIER
    )


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
        records, shares, habits, earlier = map(_bytes_of, self.arrays)
        new, fixed, share_bytes = new_profile(dim, space), self._fixed, 4 * dim
        # Version 7 is the memory of the arrays' rows: one record, then the shares, then the habits and the fingerprints
        # in use. So copy its bytes into the rows, without parsing. Rows that are not in use keep arbitrary bytes; every
        # reader stops at `habits_length` and `earlier_length`. A new shopper's profile replaces an unreadable one, so
        # that `check` can run over all rows. The batch is refused as a whole afterwards.
        for place, data in enumerate(stored):
            if data is None:
                data = new
            elif not self._is_as_needed(data):
                try:
                    data = self._adapted(data, place)
                except ProfileCodecError as error:
                    refused[place], data = str(error), new
            start = place * _RECORD_BYTES
            records[start : start + _RECORD_BYTES] = data[:_RECORD_BYTES]
            start = place * share_bytes
            shares[start : start + share_bytes] = data[_RECORD_BYTES:fixed]
            if len(data) > fixed:
                start, end = place * _HABITS_ROW_BYTES, fixed + data[_HABITS_LENGTH] * HABIT.itemsize
                habits[start : start + end - fixed] = data[fixed:end]
                if len(data) > end:
                    start = place * _EARLIER_ROW_BYTES
                    earlier[start : start + len(data) - end] = data[end:]
        found = np.empty(len(stored), dtype=np.uint8)
        if kernels.check(self.arrays, found):
            refused |= {place: kernels.FAULTS[code] for place, code in enumerate(found.tolist()) if code}
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
        """Return the bytes of each profile, version 7, or 6 for a profile without fingerprints."""
        lengths = self.arrays.records["earlier_length"]
        self.arrays.records["version"] = np.where(lengths > 0, VERSION, VERSION_6)
        records, shares, habits = (array.tobytes() for array in self.arrays[:3])
        share_bytes = 4 * self._dim
        stored = [
            b"".join(
                (
                    records[place * _RECORD_BYTES : (place + 1) * _RECORD_BYTES],
                    shares[place * share_bytes : (place + 1) * share_bytes],
                    habits[place * _HABITS_ROW_BYTES : place * _HABITS_ROW_BYTES + number * HABIT.itemsize],
                )
            )
            for place, number in enumerate(self.arrays.records["habits_length"].tolist())
        ]
        for place in np.flatnonzero(lengths).tolist():
            stored[place] += self.arrays.earlier[place, : lengths[place]].tobytes()
        return stored

    def _is_as_needed(self, data: bytes) -> bool:
        """Return whether bytes are a whole version 6 or 7 in the model's space, as nearly all are."""
        return (
            len(data) >= self._fixed
            and _is_whole(data, self._dim)
            and _SPACE.unpack_from(data, _SPACE_AT)[0] == self._space
            and _DIM.unpack_from(data, _DIM_AT)[0] == self._dim
        )

    def _adapted(self, data: bytes, place: int) -> bytes:
        """Convert bytes of another version or space to version 6 or 7 for the model. Raises ProfileCodecError."""
        if not data or data[0] >= _FIRST_BYTE_OF_ARRAYS:
            profile = decode_older(data, self._dim, self._space)
            if profile.space != self._space:
                self.of_other_space.append(place)
            return profile_bytes(profile, self._dim)
        if data[0] not in (VERSION_5, VERSION_6, VERSION):
            raise ProfileCodecError(f"stored profile: required version 1 to {VERSION}, got {data[0]}")
        if len(data) < (RECORD_5 if data[0] == VERSION_5 else PROFILE.itemsize):
            raise ProfileCodecError(f"stored profile: required a profile, got {len(data)} other bytes")
        if data[0] == VERSION_5:
            # The record of version 5 is the beginning of that of version 6. The fields that it lacks are 0, and vectors
            # and habits follow unchanged.
            data = bytes([VERSION_6]) + data[1:RECORD_5] + bytes(PROFILE.itemsize - RECORD_5) + data[RECORD_5:]
            if self._is_as_needed(data):
                return data
        # Model changes may change the dimensions as well, so the length is checked against those of the stored profile.
        (dim,) = _DIM.unpack_from(data, _DIM_AT)
        is_other_space = _SPACE.unpack_from(data, _SPACE_AT)[0] != self._space
        if dim != self._dim and not is_other_space:
            raise ProfileCodecError(f"stored profile: required vectors of {self._dim} dimensions, got {dim}")
        if not _is_whole(data, dim):
            raise ProfileCodecError(f"stored profile: required a profile, got {len(data)} other bytes")
        # Only the space differs here. The stored vectors mean nothing in the model's space, so they become zero.
        record = np.frombuffer(data, dtype=PROFILE, count=1).copy()
        record["largest"], record["dim"] = 0, self._dim
        self.of_other_space.append(place)
        return record.tobytes() + bytes(self._fixed - PROFILE.itemsize) + data[fixed_size(dim) :]


def load(stored: bytes | None, dim: int, space: int) -> bytes:
    """Return a stored profile of any version as bytes of version 6 or 7. None stands for a new shopper.

    Vectors of another space become zero. The profile keeps the space that they were of.

    Raises:
        ProfileCodecError: the bytes are no profile, or of a newer version.
    """
    return Shoppers([stored], dim, space).stored()[0]


def decode(stored: bytes, dim: int, space: int) -> Profile:
    """Return a stored profile of any version in readable form. Raises ProfileCodecError, as `load` does."""
    return read_profile(Shoppers([stored], dim, space).arrays, 0)


def read(stored: bytes) -> Profile:
    """Return a stored profile in readable form without a model. Profiles of older versions have no vectors then.

    Raises ProfileCodecError, as `load` does.
    """
    if len(stored) >= PROFILE.itemsize and stored[0] in (VERSION_6, VERSION):
        return decode(stored, _DIM.unpack_from(stored, _DIM_AT)[0], _SPACE.unpack_from(stored, _SPACE_AT)[0])
    return decode(stored, 0, NO_SPACE)


def encode(profile: Profile) -> bytes:
    """Return the bytes of a profile, version 6 or 7, for tests and tools. Raises ProfileCodecError, as `load` does."""
    data = profile_bytes(profile, len(profile.short_term))
    load(data, len(profile.short_term), profile.space)
    return data


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    """Return the memory of an array as bytes that can be written."""
    return array.reshape(-1).view(np.uint8).data
