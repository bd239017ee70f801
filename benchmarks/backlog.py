"""The rate at which one worker drains a backlog in Kafka."""

from __future__ import annotations

from benchmarks.held import READY_S
from benchmarks.process import Process
from benchmarks.report import Section, Table
from benchmarks.stage import Counter, Stage
from benchmarks.usage import Usage, by_thread, gathered
from streams.settings import Settings

TIMEOUT_S = 600.0
LEAST_SHARE = 0.02

HOW = """\
{events:,} events of {shoppers:,} shoppers ({searches:.0%} searches) wait on 8 partitions. Then one worker starts, with
the real model and {items:,} items. The rate covers the time from list {warm_up:,} to the last list. A worker that
drains a backlog takes full batches, so this is its highest throughput, regardless of latency."""


def measure(stage: Stage) -> Section:
    """Drain the backlog once."""
    sizes = stage.sizes
    settings = stage.settings("backlog")
    stage.publish_catalogue(settings)
    publish(stage, settings)
    stage.progress(f"draining {sizes.backlog_events:,} events")
    with stage.worker("ours", settings) as worker:
        first_list_s = worker.wait_for("ready", READY_S) - worker.started_at
        drained = drain(stage, settings, [worker], sizes.backlog_warm_up, sizes.backlog_events)
    how = HOW.format(
        events=sizes.backlog_events, shoppers=sizes.shoppers, searches=sizes.searches, items=sizes.catalogue,
        warm_up=sizes.backlog_warm_up,
    )  # fmt: skip
    threads = gathered(by_thread(drained.before[0], drained.after[0]), LEAST_SHARE)
    rows = [
        ("events/s", f"{drained.rate:,.0f}"),
        ("worker, µs of CPU per event", f"{drained.micros[0]:,.0f}"),
        *((f"of this: {name}", f"{1e6 * seconds / drained.events:,.0f}") for name, seconds in threads.items()),
        ("start to ready, s", f"{first_list_s:.1f}"),
    ]
    return Section(
        title="Draining a backlog",
        how=how,
        tables=(Table(("", ""), tuple(rows)),),
        data={"events_per_s": drained.rate, "micros": drained.micros[0], "threads": threads, "ready_s": first_list_s},
    )


def publish(stage: Stage, settings: Settings) -> None:
    """Publish the backlog."""
    sizes = stage.sizes
    stage.progress(f"sending {sizes.backlog_events:,} events")
    count, shoppers = sizes.backlog_events, sizes.shoppers
    stage.publish_events(
        settings, stage.shop.events(count, shoppers=shoppers, searches=sizes.searches, seed=sizes.seed)
    )


class Drained:
    """A period of a backlog: events answered, seconds, and the CPU time of each worker."""

    def __init__(self, events: int, before: list[Usage], after: list[Usage]) -> None:
        self.events, self.before, self.after = events, before, after
        self.seconds = after[0].at - before[0].at

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds

    @property
    def micros(self) -> list[float]:
        """Microseconds of CPU of each worker per event of all workers."""
        pairs = zip(self.before, self.after, strict=True)
        return [1e6 * (after.seconds - before.seconds) / self.events for before, after in pairs]


def drain(stage: Stage, settings: Settings, workers: list[Process], first: int, last: int) -> Drained:
    """Wait until list `first` and list `last` are written, and return the figures of the time between them."""
    lists = Counter(stage, settings, settings.topics.recommendations)
    begun = lists.wait(first, workers[0], TIMEOUT_S)
    before = [worker.usage() for worker in workers]
    ended = lists.wait(last, workers[0], TIMEOUT_S)
    after = [worker.usage() for worker in workers]
    for worker in workers:
        worker.check()
    return Drained(ended - begun, before, after)
