"""How fast one worker drains what waited for it in Kafka."""

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
{events:,} events of {shoppers:,} shoppers ({searches:.0%} searches) wait on 8 partitions, then one worker with the real
model and {items:,} items starts. The rate runs from the list number {warm_up:,} to the last one. A worker that drains
a backlog takes full batches: this is its highest throughput, whatever the latency."""


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
        ("worker, µs of CPU an event", f"{drained.micros[0]:,.0f}"),
        *((f"of it {name}", f"{1e6 * seconds / drained.events:,.0f}") for name, seconds in threads.items()),
        ("start to ready, s", f"{first_list_s:.1f}"),
    ]
    return Section(
        title="A backlog, drained",
        how=how,
        tables=(Table(("", ""), tuple(rows)),),
        data={"events_per_s": drained.rate, "micros": drained.micros[0], "threads": threads, "ready_s": first_list_s},
    )


def publish(stage: Stage, settings: Settings) -> None:
    """Put the backlog onto the topics."""
    sizes = stage.sizes
    stage.progress(f"sending {sizes.backlog_events:,} events")
    count, shoppers = sizes.backlog_events, sizes.shoppers
    stage.publish_events(
        settings, stage.shop.events(count, shoppers=shoppers, searches=sizes.searches, seed=sizes.seed)
    )


class Drained:
    """A stretch of a backlog: events answered, seconds, and the CPU of each worker."""

    def __init__(self, events: int, before: list[Usage], after: list[Usage]) -> None:
        self.events, self.before, self.after = events, before, after
        self.seconds = after[0].at - before[0].at

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def micros(self) -> list[float]:
        """Microseconds of CPU an event of all workers' events, by worker."""
        pairs = zip(self.before, self.after, strict=True)
        return [1e6 * (after.seconds - before.seconds) / self.events for before, after in pairs]


def drain(stage: Stage, settings: Settings, workers: list[Process], first: int, last: int) -> Drained:
    """Wait until so many lists were written, and return what happened between the first and the last of them."""
    lists = Counter(stage, settings, settings.recommendations_topic)
    begun = lists.wait(first, workers[0], TIMEOUT_S)
    before = [worker.usage() for worker in workers]
    ended = lists.wait(last, workers[0], TIMEOUT_S)
    after = [worker.usage() for worker in workers]
    for worker in workers:
        worker.check()
    return Drained(ended - begun, before, after)
