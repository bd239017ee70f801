"""The measures of a profile against expectations. No I/O.

Most expectations are about a share of wrong messages. Messages of one shopper depend on each other, so the sample of a
share is the number of shoppers, not of messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

from streams.assets.columns import Column
from streams.assets.expectations import WORDS, Expectation, Expected
from streams.assets.fields import ITEM
from streams.assets.profile import DELAY, DISORDER, ROBOT, UNKNOWN_ITEM, StreamProfile
from streams.assets.statistics import (
    Z,
    distance,
    distance_noise,
    index_noise,
    share_at_least,
    stability_index,
)

FEWEST = 5.0
"""Fewest shoppers, or messages without shoppers, of a share that is judged."""
FEWEST_OF_DRIFT = 30.0
"""Fewest shoppers, or messages without shoppers, of a distribution that is judged."""
AHEAD_S = 60.0
"""Seconds by which a time may lie in the future."""
LARGE = 3.0
"""A departure beyond this multiple of the tolerance needs no second look."""
PART_OF_CATALOGUE = 0.5
"""Least share of the known items in a sample of items whose distribution is judged. An update of one category differs
from the whole catalogue, and is no fault."""
MARKS = {
    Expected.UNKNOWN_ITEMS: UNKNOWN_ITEM,
    Expected.DISORDER: DISORDER,
    Expected.ROBOTS: ROBOT,
}
"""The mark of a message that departs from each of these expectations."""
EXPLAINED = frozenset({Expected.DRIFT, Expected.MEANING})
"""Kinds that another departure of the same field explains."""
EXAMPLES = 3


class Measure(NamedTuple):
    """A measured departure.

    Attributes:
        expectation: what is expected.
        value: the share, index or distance.
        limit: the most that is accepted.
        is_beyond: whether the value is beyond the limit, and not by chance.
        is_large: whether it is far beyond.
        sentence: what is wrong, in words.
        examples: some wrong values.
    """

    expectation: Expectation
    value: float
    limit: float
    is_beyond: bool
    is_large: bool
    sentence: str
    examples: tuple[str, ...] = ()


def sample_of(profile: StreamProfile) -> float:
    """Return the number of independent observations of a profile: its shoppers, or its messages if it has none."""
    shoppers = profile.columns.get("user_id")
    known = None if shoppers is None else shoppers.distinct
    return float(profile.messages) if known is None else min(known, float(profile.messages))


def measure_all(
    profile: StreamProfile, expectations: Iterable[Expectation], usual: StreamProfile | None
) -> list[Measure]:
    """Measure a profile against the expectations of its stream. Those that cannot be judged are left out.

    Args:
        profile: what was observed.
        expectations: what is expected.
        usual: the profile of the reference period, None without one.
    """
    found = (_measure(profile, each, usual) for each in expectations)
    return [each for each in found if each is not None]


def unexplained(measures: Iterable[Measure]) -> list[Measure]:
    """Return measures of a stream, without the departures that another departure of the same field explains.

    Another range or other values are also another distribution. One finding is enough.
    """
    measures = list(measures)
    beyond = {each.expectation.field for each in measures if each.is_beyond and each.expectation.kind not in EXPLAINED}
    return [
        each._replace(is_beyond=False, is_large=False)
        if each.expectation.kind in EXPLAINED and each.expectation.field in beyond
        else each
        for each in measures
    ]


def refused_measure(refused: int, messages: int, expectation: Expectation) -> Measure | None:
    """Measure the share of refused messages of a producer on a topic."""
    return _share(expectation, refused / messages, float(messages)) if messages else None


def volume_measure(count: int, usual: tuple[int, int], expectation: Expectation) -> Measure:
    """Measure the number of messages of an hour against the least and the most of the same hour in former weeks."""
    low, high = usual
    factor = max(1.0, expectation.tolerance)
    least, most = low / factor, high * factor
    # Poisson's standard deviation of a count is its square root.
    least, most = max(0.0, least - Z * sqrt(least)), most + Z * sqrt(most)
    is_beyond = count < least or count > most
    is_large = is_beyond and count == 0
    text = f"{count:,} messages in an hour, usually {low:,} to {high:,}"
    return Measure(expectation, float(count), least if count < least else most, is_beyond, is_large, text)


def _measure(profile: StreamProfile, expectation: Expectation, usual: StreamProfile | None) -> Measure | None:
    kind, column = expectation.kind, profile.columns.get(expectation.field)
    sample = sample_of(profile)
    readable = profile.readable
    if not readable:
        return None
    if kind in MARKS:
        return _share(expectation, profile.marks[MARKS[kind]] / readable, sample)
    if kind is Expected.CLOCK:
        delays = profile.columns.get(DELAY)
        below = None if delays is None else delays.shares_below([-AHEAD_S])
        return None if below is None else _share(expectation, below[0], sample)
    if kind is Expected.COMPLETENESS:
        return _share(expectation, 1 - (profile.completeness(expectation.field) or 0.0), sample)
    if kind is Expected.MEANING:
        return None if usual is None else _meaning(profile, expectation, usual)
    if column is None or not (column.present or expectation.field == DELAY):
        return None
    if expectation.field != DELAY:
        sample *= min(1.0, column.present / readable)
    if kind is Expected.PERSONAL_DATA:
        return _share(expectation, sum(column.personal.values()) / max(1, column.examined), float(column.examined))
    if kind is Expected.TYPES:
        known = sum(number for name, number in column.types.items() if name in expectation.values)
        return _share(expectation, 1 - known / max(1, column.types.total()), sample)
    if kind is Expected.RANGE:
        return _range(column, expectation, sample)
    if kind is Expected.VALUES:
        return _values(column, expectation, sample)
    if kind is Expected.DRIFT and is_comparable(profile, expectation, usual):
        return _drift(column, expectation, sample)
    return None


def is_comparable(profile: StreamProfile, expectation: Expectation, usual: StreamProfile | None) -> bool:
    """Return whether a distribution of the profile may be compared. A part of the catalogue may not."""
    if expectation.type != ITEM:
        return True
    # Without a reference the expectation is from a file, and nothing is known of the catalogue.
    ids = None if usual is None else usual.columns.get("item_id")
    known = None if ids is None else ids.distinct
    return known is None or (profile.columns["item_id"].distinct or 0.0) >= PART_OF_CATALOGUE * known


def _share(expectation: Expectation, share: float, sample: float, examples: tuple[str, ...] = ()) -> Measure | None:
    if sample < FEWEST:
        return None
    share = min(1.0, max(0.0, share))
    usual = expectation.share
    # Both shares are estimates. `noise` is two standard errors of the usual one, and `least` a lower bound of the
    # present one: few messages prove little.
    noise = 2 * sqrt(usual * (1 - usual) / expectation.sample) if expectation.sample else 0.0
    limit = min(1.0, usual + noise + expectation.tolerance)
    least = share_at_least(share, sample)
    # At most 0.9: a share that can be reached, however large the tolerance is.
    is_large = least > min(0.9, usual + noise + LARGE * expectation.tolerance)
    words = WORDS[expectation.kind].wrong
    text = f"{share:.0%} of the messages {words}, usually {usual:.0%}"
    return Measure(expectation, share, limit, least > limit, is_large, text, examples)


def _range(column: Column, expectation: Expectation, sample: float) -> Measure | None:
    low, high = expectation.low, expectation.high
    outside = 0.0
    if high is not None and (shares := column.shares_below([high])):
        outside += 1 - shares[0]
    if low is not None and (shares := column.shares_below([low])):
        # `shares_below` includes numbers equal to the bound. Without a number below it, none is outside.
        least = column.quantiles([0.0]) or [low]
        outside += shares[0] if least[0] < low else 0.0
    measure = _share(expectation, outside, sample)
    if measure is None:
        return None
    median = (column.quantiles([0.5]) or [0.0])[0]
    bounds = f"{'any' if low is None else f'{low:,.4g}'} to {'any' if high is None else f'{high:,.4g}'}"
    return measure._replace(sentence=f"{measure.sentence}; the median is {median:,.4g}, the range is {bounds}")


def _values(column: Column, expectation: Expectation, sample: float) -> Measure | None:
    known = set(expectation.values)
    unseen = [each for each in column.frequent(1000) if each.value not in known]
    share = sum(each.at_least for each in unseen) / column.present
    return _share(expectation, share, sample, tuple(each.value for each in unseen[:EXAMPLES]))


def shares_of(column: Column, values: tuple[str, ...], edges: tuple[float, ...]) -> list[float] | None:
    """Return the shares of a column in bins of numbers up to each edge, or of values; the last bin is the rest."""
    if edges:
        below = column.shares_below(edges)
        return None if below is None else [b - a for a, b in zip((0.0, *below), (*below, 1.0), strict=True)]
    counted = {each.value: (each.at_least + each.at_most) / 2 for each in column.frequent(1000)}
    shares = [min(1.0, counted.get(value, 0.0) / column.present) for value in values]
    return [*shares, max(0.0, 1 - sum(shares))]


def _drift(column: Column, expectation: Expectation, sample: float) -> Measure | None:
    observed = shares_of(column, expectation.values, expectation.edges)
    if observed is None or sample < FEWEST_OF_DRIFT:
        return None
    value = stability_index(observed, expectation.shares, sample)
    noise = index_noise(len(observed), sample, expectation.sample)
    words = f"{WORDS[Expected.DRIFT].wrong}: stability index {value:.2f}, accepted {expectation.tolerance:.2f}"
    return _distance_measure(expectation, value, noise, words)


def _meaning(profile: StreamProfile, expectation: Expectation, usual: StreamProfile) -> Measure | None:
    sample = min(sample_of(profile), float(profile.vector_count))
    if profile.vectors is None or usual.vectors is None or profile.space != usual.space or sample < FEWEST_OF_DRIFT:
        return None
    if not is_comparable(profile, expectation, usual):
        return None
    value = distance(profile.vectors, usual.vectors)
    noise = distance_noise(usual.vectors, usual.vector_count, sample, expectation.sample)
    words = f"{WORDS[Expected.MEANING].wrong}: cosine distance {value:.2f}, accepted {expectation.tolerance:.2f}"
    return _distance_measure(expectation, value, noise, words)


def _distance_measure(expectation: Expectation, value: float, noise: float, words: str) -> Measure:
    limit = expectation.tolerance + noise
    return Measure(expectation, value, limit, value > limit, value > LARGE * expectation.tolerance + noise, words)
