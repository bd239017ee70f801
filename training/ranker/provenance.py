"""The data that a ranker was fitted to, as its bundle records it, and how much of it another log has.

A period keeps the least hashes of its events: a uniform sample, whatever their number (bottom-k sketch; Cohen & Kaplan
2007, doi:10.1145/1281100.1281133). A hash covers the shopper, the event's id and its time, so a reader of a bundle
cannot find the shopper without having the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b, file_digest
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.manifest import DataInput, FittedPeriod
from streams.contracts.messages import Interaction, occurred_ms

SAMPLE = 256
"""Hashes that are kept of a period."""

Hashes = npt.NDArray[np.uint64]


def event_hashes(interactions: Iterable[Interaction]) -> Hashes:
    """Return the hash of each event."""
    return _hashes((each.user_id, each.event_id, str(occurred_ms(each))) for each in interactions)


def grade_hashes(graded: Iterable[tuple[str, str]]) -> Hashes:
    """Return the hash of each graded item, from the search and the item's id."""
    return _hashes(graded)


def period(hashes: Hashes, interactions: Sequence[Interaction] = ()) -> FittedPeriod:
    """Return the record of events, in order of time, or of grades. There is at least one hash."""
    # Hashes are uniform, so the least ones are a uniform sample. Two periods keep the same hash for a common event,
    # which makes the samples comparable.
    least = np.unique(hashes)[:SAMPLE]
    return FittedPeriod(
        since=interactions[0].occurred_at.isoformat() if interactions else None,
        until=interactions[-1].occurred_at.isoformat() if interactions else None,
        events=len(hashes),
        sample=least.astype("<u8").tobytes(),
    )


def merged(periods: Sequence[FittedPeriod]) -> tuple[FittedPeriod, ...]:
    """Return periods without common events as one, empty without any.

    The least hashes of all events are among the least of each part, so the sample is that of `period` over all of them.
    """
    if not periods:
        return ()
    known = [np.frombuffer(each.sample, dtype="<u8") for each in periods]
    since = [each.since for each in periods if each.since is not None]
    until = [each.until for each in periods if each.until is not None]
    one = FittedPeriod(
        since=min(since, key=datetime.fromisoformat, default=None),
        until=max(until, key=datetime.fromisoformat, default=None),
        events=sum(each.events for each in periods),
        sample=np.unique(np.concatenate(known))[:SAMPLE].tobytes(),
    )
    return (one,)


def file_input(part: str, path: Path, records: int | None = None) -> DataInput:
    """Return the record of a file that a part of a bundle was made from."""
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return DataInput(part=part, name=path.name, sha256=digest, bytes=path.stat().st_size, records=records)


def replaced(known: Iterable[DataInput], new: Sequence[DataInput], *parts: str) -> tuple[DataInput, ...]:
    """Return the known inputs with those of some parts replaced by new ones."""
    return (*(each for each in known if each.part not in parts), *new)


def union(periods: Iterable[FittedPeriod]) -> tuple[FittedPeriod, ...]:
    """Return the periods, each once."""
    return tuple(dict.fromkeys(periods))


def known_share(periods: Iterable[FittedPeriod], tested: Hashes) -> float:
    """Estimate the share of the tested events that a ranker was fitted to, in [0, 1]."""
    if not len(tested):
        return 0.0
    known = 0.0
    for each in periods:
        sample = np.frombuffer(each.sample, dtype="<u8")
        # The sample is uniform, so its share of tested events is that of the whole period.
        known += each.events * float(np.isin(sample, tested).mean()) if len(sample) else 0.0
    return min(known / len(tested), 1.0)


def overlap(periods: Iterable[FittedPeriod], others: Iterable[FittedPeriod]) -> bool:
    """Return whether two sets of periods have common events. Fewer than one event in SAMPLE may be missed."""
    one, other = (set(chain.from_iterable(_sample(each) for each in part)) for part in (periods, others))
    return not one.isdisjoint(other)


def _sample(each: FittedPeriod) -> list[int]:
    found: list[int] = np.frombuffer(each.sample, dtype="<u8").tolist()
    return found


def _hashes(records: Iterable[tuple[str, ...]]) -> Hashes:
    # The separator keeps ("ab", "c") and ("a", "bc") apart.
    digests = b"".join(blake2b("\0".join(each).encode(), digest_size=8).digest() for each in records)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
