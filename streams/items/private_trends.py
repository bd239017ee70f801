"""Differentially private trends: noise on the counts that a partition publishes, within a budget for each day.

The unit of protection is what one shopper does on one day. At most `events` of its actions count, each with the weight
`heaviest` at most, so it changes all counts of a set together by Δ = events · heaviest. A release of ε adds Laplace
noise of scale 2 Δ / ε to each count (Dwork, McSherry, Nissim & Smith 2006, doi:10.1007/11681878_14): half of ε goes to
the short-term counts, half to the long-term ones. Partitions have different shoppers, so their budgets do not add up.

Counts decay, so d days later a release contains 2^(−d / half-life) of the shopper's day, and costs it only that part.
All releases together cost it at most ε + ε of a day / 2 · (both half-lives in days) / ln 2.

What is not private: which items have a count. They have `min_shoppers` shoppers, are among the heaviest, and their
noisy count is above 0. Which items pass depends on exact counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from time import monotonic
from typing import Protocol

from msgspec.structs import replace

from streams.contracts.internal import TrendingSnapshot
from streams.errors import ConfigurationError
from streams.settings import Settings

DAY_S = 86_400.0
TICKS = 20
"""Checks for a due release in one interval."""


class Noise(Protocol):
    """Interface of noise."""

    def __call__(self, values: Sequence[float], scale: float) -> list[float]:
        """Return the values with noise of this scale added to each."""


@dataclass(slots=True, kw_only=True)
class PrivateReleases:
    """Decides when a partition's counts are released, and adds noise to them.

    Attributes:
        epsilon_per_day: budget of a partition for a day.
        interval_s: seconds between two releases of a partition, at least.
        sensitivity: greatest change of all counts by one shopper on one day.
        noise: the noise.
        spend: called with the partition and the ε of each release.
        clock: seconds, monotonic.
    """

    epsilon_per_day: float
    interval_s: float
    sensitivity: float
    noise: Noise
    spend: Callable[[int, float], None]
    clock: Callable[[], float] = monotonic
    _last_s: dict[int, float] = field(default_factory=dict)

    @property
    def epsilon(self) -> float:
        """ε of one release."""
        return self.epsilon_per_day * self.interval_s / DAY_S

    def is_due(self, partition: int) -> bool:
        """Return whether a partition may be released.

        A new owner waits for a whole interval, because it does not know the last release of the former one.
        """
        return self.clock() - self._last_s.setdefault(partition, self.clock()) >= self.interval_s

    def release(self, snapshot: TrendingSnapshot) -> TrendingSnapshot:
        """Return the snapshot with noise, without the items whose count is not above 0. Takes long: OpenDP is exact."""
        self._last_s[snapshot.partition] = self.clock()
        self.spend(snapshot.partition, self.epsilon)
        # Half of ε for the short-term counts, half for the long-term ones: a shopper's day changes both.
        scale = self.sensitivity / (self.epsilon / 2)
        noisy = []
        for counts in (snapshot.counts, snapshot.lasting):
            values = self.noise(list(counts.values()), scale)
            kept = [(key, value) for key, value in zip(counts, values, strict=True) if value > 0 and isfinite(value)]
            noisy.append(dict(sorted(kept, key=lambda entry: (-entry[1], -entry[0]))))
        return replace(snapshot, counts=noisy[0], lasting=noisy[1], shoppers={}, purchases=(0, 0))

    def forget(self, partition: int) -> None:
        """Forget a partition that another worker owns from now on."""
        self._last_s.pop(partition, None)


def laplace() -> Noise:
    """Return noise by OpenDP, which samples without the holes of floating-point numbers (Mironov 2012).

    Raises:
        ConfigurationError: OpenDP is not installed.
    """
    try:
        import opendp.prelude as dp
    except ImportError:
        required = "needs opendp: pip install 'intentstream[privacy]'"
        raise ConfigurationError(f"INTENTSTREAM_TRENDS_EPSILON_PER_DAY {required}") from None
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.l1_distance(T=float)

    def add(values: Sequence[float], scale: float) -> list[float]:
        return list(dp.m.make_laplace(*space, scale=scale)(list(values))) if values else []

    return add


def private_releases(
    settings: Settings, spend: Callable[[int, float], None], noise: Callable[[], Noise] = laplace
) -> PrivateReleases | None:
    """Return the releases in the settings, None if trends have no budget. Raises ConfigurationError."""
    learning, profile = settings.learning, settings.profile
    if learning.trends_epsilon_per_day is None:
        return None
    heaviest = max(profile.weight_view, profile.weight_click, profile.weight_cart, profile.weight_purchase)
    return PrivateReleases(
        epsilon_per_day=learning.trends_epsilon_per_day,
        interval_s=learning.trending_interval_seconds,
        sensitivity=learning.trends_events_per_day * heaviest,
        noise=noise(),
        spend=spend,
    )
