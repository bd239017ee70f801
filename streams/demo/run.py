"""The demo from start to summary: broker, topics, worker, catalogue and traffic, and the stop of all of them."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.contracts.internal import ItemVector
from streams.demo.data import bought_next
from streams.demo.environment import (
    EXPECTATIONS,
    addresses,
    console_url,
    data_url,
    demo_settings,
    knows_chinese,
    shopper_url,
    signals_as_exit,
    temporary_home,
)
from streams.demo.output import LiveOutput, PlainOutput, summary
from streams.demo.process import WorkerProcess
from streams.demo.replay import Replay
from streams.demo.shops import SHOPS, DemoShop
from streams.demo.staging import WrongData, expectations
from streams.demo.statistics import Statistics
from streams.demo.vectors import DemoVectors
from streams.demo.words import Language, Words, words
from streams.kafka import topics
from streams.kafka.embedded import EmbeddedBroker
from streams.kernels import prepare
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of the command line.

    `language` selects the shop, and the language of the reasons and of the demo's own texts. `broker` None starts the
    embedded broker, and `shopper` None selects a shopper. `wrong_data` lets a producer send wrong data. `keep` None
    keeps the demo running on a terminal only.
    """

    language: Language = "en"
    events: int
    rate: float
    catalogue_size: int
    keep: bool | None
    opens: bool
    wrong_data: bool
    broker: str | None
    shopper: int | None


@dataclass(slots=True)
class Demo:
    """One demo. `run` returns the exit code: 0 if every event was answered."""

    options: DemoOptions
    console: Console
    _started: float = field(default_factory=monotonic)
    _first: float = 0.0

    @property
    def _words(self) -> Words:
        return words(self.options.language)

    def run(self) -> int:
        """Run the demo to its end. Raises StreamsError if a part of it does not start or ends early."""
        with signals_as_exit(), ExitStack() as stack:
            shop = self._shop()
            home = Path(stack.enter_context(temporary_home()))
            broker = self.options.broker or stack.enter_context(EmbeddedBroker()).bootstrap_servers
            settings = demo_settings(
                broker,
                home,
                language=self.options.language,
                embedded=self.options.broker is None,
                # Without a terminal several demos may start at once, for example in tests.
                usual_port=self.console.is_terminal,
            )
            asyncio.run(topics.create(settings))
            self._say(self._words("Broker at %s, topics created") % broker)
            # Before the worker starts: it has to be ready in a limited time.
            compile_kernels(settings.state.data_dir, self._bar, self._say, self._words)
            (home / EXPECTATIONS).write_text(expectations(shop.events), encoding="utf-8")
            # The worker loads its model while this process encodes the catalogue.
            worker = stack.enter_context(WorkerProcess(settings, home / "worker.log"))
            records = self._encode(shop, settings)
            titles = {item.item_id: item.title for item in shop.items}
            stats = Statistics(total=len(shop.events), shopper=shop.shopper, titles=titles)
            self._replay(settings, worker, stats, records, shop)
            self.console.print(summary(stats, self._first, self._words))
            if self.options.keep or (self.options.keep is None and self.console.is_terminal):
                self._keep_running(settings, worker, home)
            return int(stats.unanswered > 0)

    def _shop(self) -> DemoShop:
        shop = SHOPS[self.options.language](self.options.catalogue_size, self.options.events, self.options.shopper)
        text = (
            self._words("Catalogue of %(items)s products, %(events)s events of real baskets")
            if shop.is_real
            else self._words("Catalogue of %(items)s products, %(events)s events of simulated shoppers")
        )
        self._say(text % {"items": f"{len(shop.items):,}", "events": f"{len(shop.events):,}"})
        return shop

    def _encode(self, shop: DemoShop, settings: Settings) -> list[ItemVector]:
        vectors = DemoVectors.of(shop.items, settings)
        if self.options.language == "zh" and not knows_chinese(settings):
            text = self._words(
                "The model %s does not know Chinese: a search finds items with its words, among unrelated ones, and "
                "finds nothing by meaning or in English. Lists that are based on behaviour work. The bundle "
                "shop-multilingual-l3 in INTENTSTREAM_MODEL_DIR knows both languages."
            )
            self._say(text % vectors.model)
        missing = vectors.missing()
        text = self._words("Encoding the catalogue (cached for the next run)")
        if missing and not self.console.is_terminal:
            self._say(text)
        with self._bar(text, is_shown=missing > 0) as bar:
            task = bar.add_task("", total=missing)
            records = vectors.records(settings, lambda texts: bar.advance(task, texts))
        encoded = self._words("%(number)s encoded, kept in %(folder)s")
        encoded %= {"number": f"{missing:,}", "folder": vectors.cache.path.parent}
        how = encoded if missing else self._words("all from the cache")
        self._say(self._words("Item vectors of %(model)s: %(how)s") % {"model": vectors.model, "how": how})
        return records

    def _replay(
        self,
        settings: Settings,
        worker: WorkerProcess,
        stats: Statistics,
        records: list[ItemVector],
        shop: DemoShop,
    ) -> None:
        url, translated = console_url(settings), self._words
        heading = translated("[bold]Intentstream[/bold] · %(items)s products · console: %(url)s")
        heading %= {"items": f"{len(records):,}", "url": url}
        shown: LiveOutput | PlainOutput = PlainOutput(self._say, stats, translated)
        if self.console.is_terminal:
            shown = LiveOutput(self.console, stats, heading, translated)

        def first() -> None:
            self._first = monotonic() - self._started
            self._say(translated("First list received"))
            shown.start()

        async def serve() -> None:
            replay = Replay(
                settings=settings,
                worker=worker,
                stats=stats,
                show=shown.show,
                bought_next=bought_next(shop.events),
                wrong=WrongData.of(len(shop.events), self.options.rate) if self.options.wrong_data else None,
            )
            await replay.publish(records)
            self._say(translated("Worker is ready, catalogue published"))
            searches = shop.searches if shop.searches and knows_chinese(settings) else ()
            self._show_console(settings, stats.shopper, searches)
            await replay.run(shop.events, self.options.rate, first)

        try:
            asyncio.run(serve())
        finally:
            shown.stop()

    def _show_console(self, settings: Settings, shopper: str, searches: Sequence[str]) -> None:
        url = console_url(settings)
        self._say(self._words("Console: %s  (you as a new visitor)") % url)
        self._say(self._words("         %s  (the shopper shown here)") % shopper_url(settings, shopper))
        self._say(self._words("         %s  (the data, and what is wrong with it)") % data_url(settings))
        if searches:
            self._say(self._words("         Try these searches: %s") % self._words(", ").join(searches))
        if self.options.opens:
            webbrowser.open(url)

    def _bar(self, text: str, *, is_shown: bool = True) -> Progress:
        return Progress(
            TextColumn(f"         {text}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not (is_shown and self.console.is_terminal),
        )

    def _say(self, text: str) -> None:
        self.console.print(f"[dim]{monotonic() - self._started:5.1f} s[/dim]  {text}", highlight=False, soft_wrap=True)

    def _keep_running(self, settings: Settings, worker: WorkerProcess, home: Path) -> None:
        """Print the addresses of the broker and the worker, and keep both running until Ctrl-C."""
        self.console.print(addresses(settings, home, self._words), highlight=False, soft_wrap=True, markup=False)
        with suppress(KeyboardInterrupt):
            asyncio.run(worker.guard())


def compile_kernels(data_dir: Path, bar: Callable[[str], Progress], say: Callable[[str], None], words: Words) -> None:
    """Compile the kernels that are not in the cache. Without a terminal, the progress is one line before.

    Args:
        data_dir: where the cache is if no other directory is writable.
        bar: returns the bar of a step, disabled without a terminal.
        say: prints a line.
        words: translates the texts.
    """
    with bar(words("Compiling the numeric kernels (cached for the next run)")) as shown:
        task = shown.add_task("", visible=False)

        def begin(number: int) -> None:
            if shown.disable:
                text = words("Compiling %d numeric kernels for this processor: 30 seconds to 3 minutes the first time")
                say(text % number)

        done = prepare(
            data_dir,
            lambda number, of, _seconds: shown.update(task, completed=number, total=of, visible=True),
            begin,
        )
    if done.compiled:
        counts = {"number": done.compiled, "seconds": done.seconds}
        say(words("%(number)d numeric kernels compiled in %(seconds).0f s") % counts)
