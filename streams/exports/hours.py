"""The profiles of an hour as rows of two tables, for a history in Parquet: streams, and their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from streams.assets.fields import REFUSED
from streams.assets.profile import DELAY, SIZE, Stream, StreamProfile

Row = tuple[Any, ...]


SPREAD = (0.0, 0.05, 0.5, 0.95, 1.0)
"""Ranks of the quantiles of a field."""


def stream_rows(hour_ms: int, profiles: Mapping[Stream, StreamProfile]) -> Iterable[Row]:
    """Yield a row of each stream, with the columns STREAMS."""
    for stream, profile in profiles.items():
        refused = profile.messages if stream.type == REFUSED else 0
        yield (
            _moment(hour_ms), *stream, profile.messages, refused, dict(profile.outcomes), dict(profile.marks),
            _moment(profile.first_ms), _moment(profile.last_ms), _median(profile, SIZE), _median(profile, DELAY),
        )  # fmt: skip


def field_rows(hour_ms: int, profiles: Mapping[Stream, StreamProfile]) -> Iterable[Row]:
    """Yield a row of each field of each stream, with the columns FIELDS."""
    for stream, profile in profiles.items():
        for name, column in profile.columns.items():
            if name in (SIZE, DELAY):
                continue
            quantiles = column.quantiles(SPREAD)
            spread = (None,) * len(SPREAD) if quantiles is None else quantiles
            distinct = None if column.distinct is None else round(column.distinct)
            frequent = {each.value: each.at_least for each in column.frequent()}
            yield (
                _moment(hour_ms), *stream, name, column.present, profile.completeness(name), distinct, *spread,
                dict(column.types), frequent, dict(column.personal),
            )  # fmt: skip


def _median(profile: StreamProfile, column: str) -> float | None:
    found = profile.columns[column].quantiles((0.5,)) if column in profile.columns else None
    return None if found is None else found[0]


def _moment(at_ms: int) -> datetime | None:
    """Return a time in UTC without a zone, as DuckDB's TIMESTAMP has none."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        return None
