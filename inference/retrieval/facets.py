"""Facets of a set of items: how many of them each category, brand, range of prices and value of an attribute has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from heapq import nsmallest
from math import floor, log10
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from inference.attributes.brands import brand_words
from inference.attributes.derive import normal_value
from inference.records import AttributeFacet, BrandCount, CategoryCount, Facets, PriceCount, ValueCount
from inference.retrieval.columns import Rows

if TYPE_CHECKING:
    from inference.retrieval.matching import Matcher

MOST_VALUES = 50
"""Most categories, most brands and most values of an attribute."""
RANGES = 5
"""Ranges of prices, about."""
_STEPS = (1, 2, 5, 10)

Value = TypeVar("Value", str, tuple[str, ...])
Key = TypeVar("Key", str, tuple[str, ...])


def facets_of(rows: Rows, matcher: Matcher) -> Facets:
    """Return the facets of the items in some rows of the catalogue of a matcher, each row once."""
    paths: Counter[tuple[str, ...]] = Counter()
    for path, count in matcher.paths.counts(rows).items():
        # An item counts in its category and in every category above it, as a filter by one of these finds it.
        for length in range(1, len(path) + 1):
            paths[path[:length]] += count
    return Facets(
        categories=tuple(CategoryCount(path=path, count=count) for path, count in _greatest(paths)),
        brands=_brands(rows, matcher),
        prices=_price_ranges(rows, matcher),
        attributes=_attributes(rows, matcher),
    )


def _brands(rows: Rows, matcher: Matcher) -> tuple[BrandCount, ...]:
    derived = matcher.derived
    merged = _merged(matcher.brands.counts(rows), derived.brand_counts(rows), brand_words, derived.spelling)
    return tuple(BrandCount(brand=brand, count=count, derived=merged[brand][1]) for brand, count in _commonest(merged))


def _attributes(rows: Rows, matcher: Matcher) -> tuple[AttributeFacet, ...]:
    facets = []
    for name, own in matcher.own.items():
        merged = _merged(own.counts(rows), matcher.derived.counts(name, rows), partial(normal_value, name), str)
        if merged:
            counts = _commonest(merged)
            values = tuple(ValueCount(value=value, count=count, derived=merged[value][1]) for value, count in counts)
            facets.append(AttributeFacet(name=name, values=values))
    return tuple(facets)


def _merged(
    own: Mapping[str, int],
    derived: Mapping[Key, int],
    key_of: Callable[[str], Key],
    spelling: Callable[[Key], str],
) -> dict[str, tuple[int, int]]:
    """Return the numbers of items with each value, and how many of them are derived.

    A filter by a value of the shop finds the derived values that mean the same. So each spelling counts them.
    """
    counts = {
        value: (count + derived.get(key_of(value), 0), derived.get(key_of(value), 0)) for value, count in own.items()
    }
    known = {key_of(value) for value in own} if derived else set()
    for key, count in derived.items():
        if key not in known:
            counts[spelling(key)] = (count, count)
    return counts


def _commonest(merged: Mapping[str, tuple[int, int]]) -> list[tuple[str, int]]:
    return _greatest({value: count for value, (count, _) in merged.items()})


def _greatest(counts: Mapping[Value, int]) -> list[tuple[Value, int]]:
    return nsmallest(MOST_VALUES, counts.items(), key=lambda each: (-each[1], each[0]))


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
    # The least round step, 1, 2 or 5 times a power of ten, that is not below the wanted one.
    power = 10.0 ** floor(log10(wanted))
    step = next(each * power for each in _STEPS if each * power >= wanted)
    ends = [round(at * step, 6) for at in range(floor(tenth / step), floor(ninth / step) + 2)]
    return [min(ends[0], float(floor(low))), *ends[1:-1], max(ends[-1], high)]
