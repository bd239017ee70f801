"""The output of the compared workers: as many bytes as the project's worker writes, and as hard to compress."""

from __future__ import annotations

from random import Random

PROFILE_BYTES = 2_300
LIST_BYTES = 3_000

PROFILE = Random(1).randbytes(PROFILE_BYTES)
LIST = Random(2).randbytes(LIST_BYTES)


def updated(old: bytes | None) -> bytes:
    """Return a new profile: the old one with its counter increased by one."""
    count = int.from_bytes(old[:8], "little") if old else 0
    return (count + 1).to_bytes(8, "little") + PROFILE[8:]
