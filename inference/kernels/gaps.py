"""Buckets of times between two actions, for the sequence model: one bucket for each factor of 4."""

from __future__ import annotations

from inference.kernels.compiler import helper

GAPS = 16
"""Number of buckets. Bucket 1 begins at 1 second, and the last one at 8.5 years."""


@helper
def gap_bucket(gap_ms: int) -> int:
    """Return the bucket of a time in ms: 0 below 1 s, 1 below 4 s, 2 below 16 s, and so on."""
    if gap_ms < 1000:
        return 0
    bucket, seconds = 1, gap_ms // 1000
    while seconds >= 4 and bucket < GAPS - 1:
        seconds //= 4
        bucket += 1
    return bucket
