"""Cost of the asset profiles for an event: `python -m benchmarks.asset_profiles`. Processor time of one thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from time import thread_time_ns
from typing import Any

import click
import msgspec

from streams.assets.collector import Collector
from streams.assets.profile import Observation, Stream
from streams.assets.snapshots import encode_snapshot
from streams.contracts.messages import Click, Interaction, Purchase, Search, View

SEED, SHOPPERS, ITEMS, SEARCHES = 1, 2_000, 5_000, 1_650
START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS: dict[type[Interaction], float] = {Search: 0.1, View: 0.6, Click: 0.25, Purchase: 0.05}
TURNS = 5


def make_events(number: int) -> list[Interaction]:
    """Return events of many shoppers with a session, a price and two keys of context."""
    rng, events = Random(SEED), list[Interaction]()
    for place, kind in enumerate(rng.choices(list(KINDS), list(KINDS.values()), k=number)):
        fields: dict[str, Any] = {
            "event_id": f"event-{place}",
            "user_id": f"shopper-{rng.randrange(SHOPPERS)}",
            "session_id": f"session-{rng.randrange(2 * SHOPPERS)}",
            "occurred_at": START + timedelta(seconds=place / 500),
            "context": {"device": rng.choice(["phone", "desktop"]), "country": rng.choice(["gb", "de", "fr"])},
        }
        if kind is Search:
            fields |= {"query": f"red shoes {rng.randrange(SEARCHES)}"}
        else:
            fields |= {"item_id": f"item-{rng.randrange(ITEMS)}", "price": rng.randrange(100, 10_000) / 100}
        events.append(kind(**fields))
    return events


def measure(events: Sequence[Interaction], batch: int, producers: int) -> tuple[float, float, float]:
    """Return µs an event, ms an interval for the snapshots, and their size in KB."""
    sizes = [len(msgspec.json.encode(each)) for each in events]
    collector, spent = Collector("worker", 0), 0
    for start in range(0, len(events), batch):
        began = thread_time_ns()
        collector.observe(
            Observation(
                Stream("searches" if isinstance(each, Search) else "clicks", each.type, f"shop-{place % producers}"),
                each,
                sizes[place],
                place % 8,
                round(each.occurred_at.timestamp() * 1000) + 20,
                "ok",
            )
            for place, each in enumerate(events[start : start + batch], start)
        )
        spent += thread_time_ns() - began
    began = thread_time_ns()
    encoded = [encode_snapshot(snapshot) for snapshot in collector.take(20_000)]
    taken = thread_time_ns() - began
    return spent / len(events) / 1e3, taken / 1e6, sum(map(len, encoded)) / 1e3


@click.command()
@click.option("--events", type=click.IntRange(1), default=10_000, show_default=True, help="Events in an interval.")
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, default=(1, 8, 32), show_default=True)
@click.option("--producers", type=click.IntRange(1), multiple=True, default=(1, 8), show_default=True)
def main(events: int, batches: tuple[int, ...], producers: tuple[int, ...]) -> None:
    """Measure the cost of the profiles of one worker, the least of TURNS turns."""
    made = make_events(events)
    for named in producers:
        for batch in batches:
            per_event, per_interval, size = min(measure(made, batch, named) for _ in range(TURNS))
            click.echo(
                f"{named} producers, batches of {batch}: {per_event:.1f} µs an event; "
                f"snapshots {per_interval:.1f} ms and {size:.0f} KB an interval"
            )


if __name__ == "__main__":
    main()
