"""Facets of a set of items: how many of them each category, brand and range of prices has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import floor, log10
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from inference.retrieval.columns import Rows

if TYPE_CHECKING:
    from inference.retrieval.matching import Matcher

MOST_VALUES = 50
"""Most categories and most brands."""
RANGES = 5
"""Ranges of prices, about."""
_STEPS = (1, 2, 5, 10)

Value = TypeVar("Value", str, tuple[str, ...])
Number = Annotated[int, msgspec.Meta(ge=1)]


class CategoryCount(msgspec.Struct, frozen=True, kw_only=True):
    """Items of a category with all categories below it. `path` is its path, root first, as a filter takes it."""

    path: tuple[str, ...]
    count: Number


class BrandCount(msgspec.Struct, frozen=True, kw_only=True):
    """Items of a brand."""

    brand: str
    count: Number


class PriceCount(msgspec.Struct, frozen=True, kw_only=True):
    """Items whose price is in a range, both ends included. `currency` is null if the items name none."""

    min_price: float
    max_price: float
    currency: str | None
    count: Number


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of items, the greatest first, at most 50 categories and 50 brands; prices rise.

    Prices are those in the currency that most of the items have.
    """

    categories: tuple[CategoryCount, ...] = ()
    brands: tuple[BrandCount, ...] = ()
    prices: tuple[PriceCount, ...] = ()


def facets_of(rows: Rows, matcher: Matcher) -> Facets:
    """Return the facets of the items in some rows of the catalogue of a matcher, each row once."""
    paths: Counter[tuple[str, ...]] = Counter()
    for path, count in matcher.paths.counts(rows).items():
        for length in range(1, len(path) + 1):
            paths[path[:length]] += count
    return Facets(
        categories=tuple(CategoryCount(path=path, count=count) for path, count in _greatest(paths)),
        brands=tuple(BrandCount(brand=brand, count=count) for brand, count in _greatest(matcher.brands.counts(rows))),
        prices=_price_ranges(rows, matcher),
    )


def _greatest(counts: Mapping[Value, int]) -> list[tuple[Value, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST_VALUES]


def _price_ranges(rows: Rows, matcher: Matcher) -> tuple[PriceCount, ...]:
    prices = matcher.prices.values[rows]
    priced = np.isfinite(prices)
    currencies = matcher.currencies.counts(rows[priced])
    currency = max(currencies, key=lambda each: (currencies[each], each), default=None)
    if currency is not None:
        priced &= matcher.currencies.having(currency, rows)
    rising = np.sort(prices[priced])
    ends = _round_ends(rising)
    # A price on a border is in both ranges, as it passes the filters of both.
    firsts = np.searchsorted(rising, ends[:-1], side="left").tolist()
    lasts = np.searchsorted(rising, ends[1:], side="right").tolist()
    return tuple(
        PriceCount(min_price=low, max_price=high, currency=currency, count=last - first)
        for low, high, first, last in zip(ends[:-1], ends[1:], firsts, lasts, strict=True)
        if last > first
    )


def _round_ends(rising: npt.NDArray[np.float64]) -> list[float]:
    """Return the ends of ranges of rising prices. All but the first and the last end are round.

    The ranges divide the prices between the first and the last decile; the outer ones contain the rest too.
    """
    number = len(rising)
    if not number:
        return [0.0]
    low, tenth, ninth, high = (float(rising[at]) for at in (0, number // 10, number - 1 - number // 10, number - 1))
    wanted = (ninth - tenth) / RANGES
    if wanted <= 0:
        return [low, high]
    power = 10.0 ** floor(log10(wanted))
    step = next(each * power for each in _STEPS if each * power >= wanted)
    ends = [round(at * step, 6) for at in range(floor(tenth / step), floor(ninth / step) + 2)]
    return [min(ends[0], float(floor(low))), *ends[1:-1], max(ends[-1], high)]
