"""Trends with usual half-lives, and their shares by item."""

from __future__ import annotations

from streams.items.trend_counts import TrendIncrements
from streams.items.trending import Trending

HOUR = 3600_000
HALF_LIFE = 24 * HOUR
LASTING = 30 * 24 * HOUR
Event = tuple[int, int, int, float]


def counted(history: list[Event]) -> Trending:
    trending = Trending(HALF_LIFE, LASTING)
    trending.add(TrendIncrements.of(history))
    return trending


def scores(trending: Trending) -> dict[int, float]:
    return trending.popularity().now.mapping()


def lasting(trending: Trending) -> dict[int, float]:
    return trending.popularity().lasting.mapping()
