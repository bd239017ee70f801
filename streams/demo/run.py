"""The demo from start to summary: broker, topics, worker, catalogue and traffic, and the stop of all of them."""

from __future__ import annotations

import asyncio
import webbrowser
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.contracts.internal import ItemVector
from streams.contracts.messages import Interaction
from streams.demo.catalogue import DemoCatalogue, best_sellers
from streams.demo.data import bought_next, busiest_households, most_faithful, shopping
from streams.demo.environment import addresses, console_url, demo_settings, shopper_url, signals_as_exit, temporary_home
from streams.demo.output import LiveOutput, PlainOutput, summary
from streams.demo.process import WorkerProcess
from streams.demo.purchases import read_purchases
from streams.demo.replay import Replay
from streams.demo.statistics import Statistics
from streams.demo.vectors import DemoVectors
from streams.errors import ConfigurationError
from streams.kafka import topics
from streams.kafka.embedded import EmbeddedBroker
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of the command line.

    `broker` None starts the embedded broker, and `shopper` None selects a shopper. `keep` None keeps the demo running
    on a terminal only.
    """

    events: int
    rate: float
    catalogue_size: int
    keep: bool | None
    opens: bool
    broker: str | None
    shopper: int | None


@dataclass(slots=True)
class Demo:
    """One demo. `run` returns the exit code: 0 if every event was answered."""

    options: DemoOptions
    console: Console
    _started: float = field(default_factory=monotonic)
    _first: float = 0.0

    def run(self) -> int:
        """Run the demo to its end. Raises StreamsError if a part of it does not start or ends early."""
        with signals_as_exit(), ExitStack() as stack:
            catalogue, events, shopper = self._data()
            home = Path(stack.enter_context(temporary_home()))
            broker = self.options.broker or stack.enter_context(EmbeddedBroker()).bootstrap_servers
            settings = demo_settings(
                broker,
                home,
                embedded=self.options.broker is None,
                # Without a terminal several demos may start at once, for example in tests.
                usual_port=self.console.is_terminal,
            )
            asyncio.run(topics.create(settings))
            self._say(f"Broker at {broker}{'' if self.options.broker else ' (embedded)'}, topics created")
            # The worker loads its model while this process encodes the catalogue.
            worker = stack.enter_context(WorkerProcess(settings, home / "worker.log"))
            records = self._encode(catalogue, settings)
            titles = {item.item_id: item.title for item in catalogue.items}
            stats = Statistics(total=len(events), shopper=shopper, titles=titles)
            self._replay(settings, worker, stats, records, events)
            self.console.print(summary(stats, self._first))
            if self.options.keep or (self.options.keep is None and self.console.is_terminal):
                self._keep_running(settings, worker, home)
            return int(stats.unanswered > 0)

    def _data(self) -> tuple[DemoCatalogue, list[Interaction], str]:
        purchases = read_purchases()
        catalogue = best_sellers(purchases, self.options.catalogue_size)
        households = busiest_households(purchases.lines)
        wanted = self.options.shopper
        if wanted is not None:
            if wanted not in purchases.lines.household:
                raise ConfigurationError(f"--shopper: required a household of the data (1 to 2500), got {wanted}")
            households = list(dict.fromkeys([wanted, *households]))
        events = shopping(purchases.lines, catalogue, households, self.options.events)
        shopper = str(wanted) if wanted is not None else most_faithful(events)
        self._say(f"Catalogue of {len(catalogue.items):,} products, {len(events):,} events of real baskets")
        return catalogue, events, shopper

    def _encode(self, catalogue: DemoCatalogue, settings: Settings) -> list[ItemVector]:
        vectors = DemoVectors.of(catalogue.items, settings)
        missing = vectors.missing()
        bar = Progress(
            TextColumn("         Encoding the catalogue (cached for the next run)"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not (missing and self.console.is_terminal),
        )
        with bar:
            task = bar.add_task("", total=missing)
            records = vectors.records(settings, lambda texts: bar.advance(task, texts))
        how = f"{missing:,} encoded, kept in {vectors.cache.path.parent}" if missing else "all from the cache"
        self._say(f"Item vectors of {vectors.model}: {how}")
        return records

    def _replay(
        self,
        settings: Settings,
        worker: WorkerProcess,
        stats: Statistics,
        records: list[ItemVector],
        events: list[Interaction],
    ) -> None:
        url = console_url(settings)
        heading = f"[bold]Intentstream[/bold] · {len(records):,} products · console: {url}"
        shown = LiveOutput(self.console, stats, heading) if self.console.is_terminal else PlainOutput(self._say, stats)

        def first() -> None:
            self._first = monotonic() - self._started
            self._say("First list received")
            shown.start()

        async def serve() -> None:
            replay = Replay(
                settings=settings, worker=worker, stats=stats, show=shown.show, bought_next=bought_next(events)
            )
            await replay.publish(records)
            self._say("Worker is ready, catalogue published")
            self._show_console(url, shopper_url(settings, stats.shopper))
            await replay.run(events, self.options.rate, first)

        try:
            asyncio.run(serve())
        finally:
            shown.stop()

    def _show_console(self, url: str, shopper: str) -> None:
        self._say(f"Console: {url}  (you as a new visitor)")
        self._say(f"         {shopper}  (the shopper shown here)")
        if self.options.opens:
            webbrowser.open(url)

    def _say(self, text: str) -> None:
        self.console.print(f"[dim]{monotonic() - self._started:5.1f} s[/dim]  {text}", highlight=False, soft_wrap=True)

    def _keep_running(self, settings: Settings, worker: WorkerProcess, home: Path) -> None:
        """Print the addresses of the broker and the worker, and keep both running until Ctrl-C."""
        self.console.print(addresses(settings, home), highlight=False, soft_wrap=True, markup=False)
        with suppress(KeyboardInterrupt):
            asyncio.run(worker.guard())
