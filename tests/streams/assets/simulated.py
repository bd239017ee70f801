"""Simulated streams of a shop as snapshots, for the tests of data quality, and the rate of false alarms.

python -m tests.streams.assets.simulated --hours 24 --seeds 3
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

import click
import msgspec
import numpy as np

from inference.types import Item
from streams.assets.collector import Collector
from streams.assets.expectations import Finding
from streams.assets.fields import REFUSED
from streams.assets.history import AssetHistory
from streams.assets.monitor import QualityMonitor
from streams.assets.profile import ROBOT, UNKNOWN_ITEM, Observation, Stream
from streams.assets.records import apply_record, learn_hours
from streams.assets.rules import Rules
from streams.assets.snapshots import Snapshot, encode_snapshot
from streams.contracts.messages import Click, Interaction, Purchase, Search
from tests.streams.assets.streams import observed
from tests.streams.shoppers import moment

INTERVAL_MS = 20_000
START_MS = 1_770_000_000_000 // 3_600_000 * 3_600_000
DIM = 32
Fault = Callable[[Observation], Observation]
"""Changes a message as a faulty producer would."""


@dataclass
class Shop:
    """A shop with two producers. Its shoppers act several times in a row, so messages depend on each other.

    Attributes:
        per_interval: messages of each stream and producer in an interval, on average.
        shoppers: number of shoppers.
    """

    seed: int = 0
    per_interval: float = 60.0
    shoppers: int = 2000
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.seed)
        self._topics = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, DIM)))[0]

    def interval(self, at_ms: int, producer: str) -> Iterator[Observation]:
        """Yield the messages of an interval that begins at `at_ms`."""
        rng = self._rng
        for kind in ("click", "purchase", "search"):
            left = rng.poisson(self.per_interval)
            while left > 0:
                number = min(left, 1 + rng.poisson(2))
                left -= number
                yield from self._visit(kind, number, at_ms, producer)

    def _visit(self, kind: str, number: int, at_ms: int, producer: str) -> Iterator[Observation]:
        rng = self._rng
        user = int(rng.integers(self.shoppers))
        device = ("phone", "desk", "tablet")[int(rng.choice(3, p=[0.6, 0.3, 0.1]))]
        session = None if user % 20 == 0 else f"s{user}-{at_ms}"
        for _ in range(number):
            then_ms = at_ms + int(rng.integers(INTERVAL_MS))
            common: dict[str, Any] = {
                "event_id": f"e{rng.integers(1 << 40)}", "user_id": f"u{user}", "session_id": session,
                "occurred_at": moment(then_ms), "context": {"device": device, "page": int(1 + rng.poisson(1))},
            }  # fmt: skip
            if kind == "search":
                topic = int(rng.choice(5, p=[0.4, 0.3, 0.15, 0.1, 0.05]))
                vector = self._topics[topic] + rng.normal(size=DIM) * 0.15
                unit = np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
                words = " ".join(["word"] * int(1 + rng.poisson(1.5)))
                yield observed(Search(query=words, **common), producer, vector=unit, space="m")
                continue
            item = f"i{min(499, int(rng.zipf(1.5)))}"
            price = float(np.round(np.exp(rng.normal(3, 1)), 2))
            made: Interaction = (
                Purchase(item_id=item, price=price, quantity=int(1 + rng.poisson(0.3)), **common)
                if kind == "purchase"
                else Click(item_id=item, **common)
            )
            marks = (UNKNOWN_ITEM,) * int(rng.random() < 0.03) + (ROBOT,) * int(user % 50 == 1)
            yield observed(made, producer, marks=marks)


class RepeatedShop(Shop):
    """A shop that makes the messages of an interval once, for all tests that begin at the same time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._made: dict[tuple[int, str], list[Observation]] = {}

    def interval(self, at_ms: int, producer: str) -> Iterator[Observation]:
        if (at_ms, producer) not in self._made:
            self._made[at_ms, producer] = list(super().interval(at_ms, producer))
        return iter(self._made[at_ms, producer])


def item(place: int, **fields: Any) -> Item:
    """Return an item of a catalogue."""
    given = Item(
        item_id=f"i{place}", title=f"thing number {place} of the shop", category=("home", f"c{place % 8}"),
        brand=f"b{place % 12}", price=5.0 + place % 90, currency="EUR",
    )  # fmt: skip
    return msgspec.structs.replace(given, **fields)


class Watched:
    """A monitor that is fed by the snapshots of one worker, as a worker feeds it."""

    def __init__(self, rules: Rules | None = None, reference_minutes: float = 30.0) -> None:
        self.monitor = QualityMonitor(rules or Rules(), reference_minutes * 60_000, INTERVAL_MS)
        self.history = AssetHistory()
        self.collector = Collector("w", START_MS)
        self.now_ms = START_MS
        self.seconds = 0.0
        self.opened: list[Finding] = []
        self.closed: list[Finding] = []
        self.snapshots: list[Snapshot] = []
        self.keeps = True

    def step(self, messages: Sequence[Observation]) -> list[Finding]:
        """Let an interval with these messages pass. Return the findings that it opened."""
        self.collector.observe(messages)
        self.now_ms += INTERVAL_MS
        for snapshot in self.collector.take(self.now_ms):
            self.feed(snapshot)
        began = time.process_time()
        self.monitor.evaluate(self.now_ms)
        self.seconds += time.process_time() - began
        self.opened += self.monitor.watches.opened
        self.closed += self.monitor.watches.closed
        return self.monitor.watches.opened

    def feed(self, snapshot: Snapshot) -> None:
        """Read a snapshot."""
        if self.keeps:
            self.snapshots.append(snapshot)
        apply_record(self.history, self.monitor, snapshot.key, encode_snapshot(snapshot), snapshot.until_ms)
        for _ in learn_hours(self.history, self.monitor):
            pass

    def read(self, snapshots: Iterable[Snapshot]) -> None:
        """Read snapshots after a restart, and evaluate once for each interval, as a worker does."""
        for until_ms, of_interval in groupby(snapshots, attrgetter("until_ms")):
            for snapshot in of_interval:
                self.feed(snapshot)
            self.monitor.evaluate(until_ms)

    def run(
        self,
        shop: Shop,
        intervals: int,
        faults: dict[str, Fault] | None = None,
        producers: Sequence[str] = ("web", "app"),
    ) -> list[Finding]:
        """Let intervals pass with the messages of producers. Return the findings that they opened."""
        opened = []
        for _ in range(intervals):
            messages = []
            for producer in producers:
                fault = (faults or {}).get(producer)
                made = shop.interval(self.now_ms, producer)
                messages += list(made) if fault is None else [fault(each) for each in made]
            opened += self.step(sorted(messages, key=lambda each: each.at_ms))
        return opened


def refused(each: Observation, reason: str = "not_json") -> Observation:
    """Return a message as it is observed if it breaks the contract."""
    return each._replace(
        stream=Stream(each.stream.topic, REFUSED, each.stream.producer),
        content=None,
        outcome=reason,
        vector=None,
        marks=(),
    )


def changed(each: Observation, **fields: object) -> Observation:
    """Return a message with other fields."""
    known = {name: value for name, value in fields.items() if hasattr(each.content, name)}
    return each._replace(content=msgspec.structs.replace(each.content, **known))


@click.command()
@click.option("--hours", default=24.0)
@click.option("--seeds", default=1)
@click.option("--first", default=0, help="The first seed.")
@click.option("--rate", default=60.0, help="Messages of a stream in an interval of 20 s.")
def main(hours: float, seeds: int, first: int, rate: float) -> None:
    """Count the findings on stationary streams: all are false."""
    intervals, streams, found, seconds = round(hours * 180), 6, 0, 0.0
    for seed in range(first, first + seeds):
        watched = Watched()
        watched.keeps = False
        watched.run(Shop(seed, rate), intervals)
        found += len(watched.opened)
        seconds += watched.seconds
        for each in watched.opened:
            click.echo(f"seed {seed}: {each.producer} {each.type} {each.field} {each.kind}: {each.sentence}")
    days = hours / 24 * streams * seeds
    click.echo(f"{found} findings in {days:.1f} stream days; an evaluation of {streams} streams takes "
               f"{1000 * seconds / intervals / seeds:.2f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
