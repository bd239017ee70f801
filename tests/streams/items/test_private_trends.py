"""Private trends: noise of the right scale, a budget for each day, and lists that use only what was released."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from streams.contracts import serde
from streams.contracts.internal import TrendingSnapshot
from streams.errors import ConfigurationError
from streams.factory import profile_rules, trending_counts
from streams.items.private_trends import TICKS, PrivateReleases, laplace, private_releases
from streams.items.trend_counts import TrendIncrements
from streams.metrics import Metrics
from streams.settings import Settings, load_settings
from streams.worker.health import Health
from streams.worker.trend_path import TrendPath
from tests.streams.shoppers import NOW_MS

HOUR_S = 3600.0
NEEDS_OPENDP = pytest.mark.skipif(find_spec("opendp") is None, reason="needs opendp")


class FakeNoise:
    """Adds the same number to each value, and records the scales."""

    def __init__(self, amount: float = 0.5) -> None:
        self.amount = amount
        self.scales: list[float] = []

    def __call__(self, values: Sequence[float], scale: float) -> list[float]:
        self.scales.append(scale)
        return [value + self.amount for value in values]


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def private_settings(**values: object) -> Settings:
    given = {"trends_epsilon_per_day": 4.8, "trending_interval_seconds": HOUR_S, "min_shoppers": 1, **values}
    return load_settings(given, env_file=None)


class Harness:
    """A `TrendPath` with a fake producer, fake noise and a clock."""

    def __init__(self, amount: float = 0.5) -> None:
        settings = private_settings(trends_events_per_day=10)
        self.metrics, self.noise, self.clock = Metrics(), FakeNoise(amount), Clock()
        releases = private_releases(settings, self.metrics.spend_privacy, lambda: self.noise)
        assert releases is not None
        self.releases = releases
        releases.clock = self.clock
        self.trending = trending_counts(settings)
        self.sent: list[TrendingSnapshot] = []
        self.path = TrendPath(
            trending=self.trending,
            producer=cast("Any", SimpleNamespace(send=self._send)),
            slots=cast("Any", SimpleNamespace(current=SimpleNamespace(set_popularity=self._set_popularity))),
            health=Health(),
            topic="trending",
            releases=releases,
        )

    async def _send(self, _topic: str, _key: bytes, value: bytes) -> Any:
        self.sent.append(serde.decode_trending(value))

        async def delivered() -> None: ...

        return delivered()

    async def _set_popularity(self, _: object) -> None: ...

    def count(self, *keys: int, partition: int = 0) -> None:
        self.trending.add(TrendIncrements.of((partition, key, NOW_MS, 1.0) for key in keys))

    def spent(self, partition: int = 0) -> float:
        labels = {"partition": str(partition)}
        return self.metrics.registry.get_sample_value("intentstream_trends_epsilon_spent_total", labels) or 0.0


async def test_counts_are_released_once_an_interval_with_noise_and_within_the_budget() -> None:
    harness = Harness()
    harness.count(1, 1, 2)
    await harness.path.publish()
    assert (harness.sent, harness.spent()) == ([], 0.0)  # a former owner may just have released
    for hour in range(1, 25):
        harness.clock.now_s += HOUR_S
        harness.count(1)
        for _ in range(TICKS):
            await harness.path.publish()
        assert len(harness.sent) == hour
    assert harness.spent() == pytest.approx(4.8)
    assert harness.sent[0].counts == harness.sent[0].lasting == {1: 3.5, 2: 1.5}
    assert harness.sent[0].shoppers == {}
    # 10 events of the heaviest action, a purchase, and half of the ε of a release for each of the two sets.
    assert harness.noise.scales == pytest.approx([30 / 0.1] * 48)


async def test_lists_use_only_what_was_released() -> None:
    harness = Harness()
    harness.count(1, 1, 2)
    assert harness.trending.popularity().now.mapping() == {}
    await harness.path.publish()
    harness.clock.now_s += HOUR_S
    await harness.path.publish()
    released = {1: 1.0, 2: 1.5 / 2.5}
    assert harness.trending.popularity().now.mapping() == pytest.approx(released)
    harness.count(*[2] * 50)
    assert harness.trending.popularity().now.mapping() == pytest.approx(released)
    harness.path.release(0)
    assert harness.trending.popularity().now.mapping() == pytest.approx(released)


async def test_counts_that_noise_takes_below_0_are_left_out() -> None:
    harness = Harness(amount=-2.0)
    harness.count(1, 1, 1, 2)
    await harness.path.publish()
    harness.clock.now_s += HOUR_S
    await harness.path.publish()
    assert harness.sent[0].counts == {1: 1.0}


async def test_a_new_owner_waits_for_an_interval_and_continues_from_the_released_counts() -> None:
    harness = Harness()
    harness.trending.restore(TrendingSnapshot(partition=0, as_of_ms=NOW_MS, counts={1: 4.0}, lasting={1: 4.0}))
    harness.count(1)
    await harness.path.publish()
    assert harness.trending.popularity().now.mapping() == {1: 1.0}
    harness.clock.now_s += HOUR_S
    await harness.path.publish()
    assert harness.sent[0].counts == {1: 5.5}


def test_a_shoppers_first_events_of_a_day_count_in_private_trends() -> None:
    assert profile_rules(private_settings(trends_events_per_day=7)).trends_events_per_day == 7
    assert profile_rules(load_settings(env_file=None)).trends_events_per_day > 60_000


def test_without_a_budget_there_is_no_noise() -> None:
    def forbidden() -> FakeNoise:
        raise AssertionError

    assert private_releases(load_settings(env_file=None), lambda *_: None, forbidden) is None


def test_a_budget_needs_rare_releases() -> None:
    with pytest.raises(ConfigurationError, match="TRENDING_INTERVAL_SECONDS of 600 or more"):
        private_settings(trending_interval_seconds=1.0)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opendp.prelude", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'intentstream\[privacy\]'"):
        laplace()


@NEEDS_OPENDP
def test_opendp_adds_laplace_noise_of_the_scale() -> None:
    noise = np.array(laplace()([100.0] * 2000, 5.0)) - 100.0
    assert abs(np.mean(noise)) < 1.0
    assert np.mean(np.abs(noise)) == pytest.approx(5.0, rel=0.2)
    assert laplace()([], 5.0) == []


def test_a_release_spends_its_share_of_the_day() -> None:
    spent: list[tuple[int, float]] = []
    releases = PrivateReleases(
        epsilon_per_day=1.0, interval_s=6 * HOUR_S, sensitivity=1.0, noise=FakeNoise(),
        spend=lambda partition, epsilon: spent.append((partition, epsilon)),
    )  # fmt: skip
    released = releases.release(TrendingSnapshot(partition=3, as_of_ms=NOW_MS, counts={}, purchases=(9, 1)))
    assert released.purchases == (0, 0)
    assert spent == [(3, 0.25)]
