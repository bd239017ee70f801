"""One run: Kafka, workers, load, faults, and the evidence that they leave."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from streams.kafka import topics
from streams.kafka.topics import COOCCURRENCE, PROFILES, changelog_topic
from streams.settings import Settings
from tests.chaos.evidence import Evidence, Exit, State, Topics
from tests.chaos.faults import Done, FaultRunner
from tests.chaos.hostile import SECRET
from tests.chaos.messages import MessageFaults, Publisher
from tests.chaos.model import partition_of
from tests.chaos.observe import Progress, answers, is_counted, on_disk, use_broker_clock
from tests.chaos.records import read_topics
from tests.chaos.schedule import JOINING, WORKERS, Fault
from tests.chaos.shop import ITEMS, Catalogue, Message, Shopper, item_id
from tests.chaos.supervisor import Supervisor
from tests.conftest import BUNDLE
from tests.integration.brokers import KafkaBroker
from tests.integration.conftest import isolated_settings
from tests.integration.workers import until

READY_S = 120.0
"""Longest start of the workers, and longest wait for the last answers."""
CHANGES = 0.02
"""Changes of items for each event."""
EVENTS_A_DAY = 34
"""Events of a shopper on a day of the shop's clock, on average."""


@dataclass(frozen=True)
class Plan:
    """What to run."""

    seed: int
    seconds: float
    faults: list[Fault]
    shoppers: int = 300
    rate: float = 40.0
    partitions: int = 4


@dataclass(frozen=True)
class Outcome:
    """What a run left."""

    evidence: Evidence
    done: list[Done]


@contextmanager
def _clients_not_logged() -> Iterator[None]:
    """Do not log each attempt of the load's clients while Kafka is stopped. The screen shows the faults."""
    log, nothing = logging.getLogger("aiokafka"), logging.NullHandler()
    log.addHandler(nothing)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = True
        log.removeHandler(nothing)


class ChaosRun:
    """A run in a folder, which is emptied first."""

    def __init__(self, plan: Plan, folder: Path, progress: Progress) -> None:
        self.plan, self.folder, self.progress = plan, folder, progress
        # Logs of an earlier run with the same seed would count as this run's.
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "models").mkdir(parents=True)

    async def run(self) -> Outcome:
        """Carry the plan out, and collect the evidence."""
        with _clients_not_logged(), KafkaBroker() as broker:
            settings = isolated_settings(broker.bootstrap_servers, f"chaos-{self.plan.seed}").replace(
                partitions=self.plan.partitions,
                model_path=BUNDLE,
                model_dir=self.folder / "models",
                model_watch_seconds=1.0,
                session_timeout_seconds=6.0,
            )
            await topics.create(settings)
            await use_broker_clock(settings)
            supervisor = Supervisor(self._exited)
            try:
                return await self._run(settings, broker, supervisor)
            finally:
                supervisor.close()
                shutil.copy(broker.log, self.folder / "kafka.log")

    async def _run(self, settings: Settings, broker: KafkaBroker, supervisor: Supervisor) -> Outcome:
        publisher, catalogue = Publisher(settings), Catalogue(self.plan.seed)
        days = 1 + self.plan.seconds * self.plan.rate / self.plan.shoppers / EVENTS_A_DAY
        now = datetime.now(UTC)
        shoppers = [Shopper(f"shopper-{n}", self.plan.seed, now, days) for n in range(self.plan.shoppers)]
        await publisher.start()
        async with answers(settings, self.progress) as answered, asyncio.TaskGroup() as group:
            await publisher.send(catalogue.first())
            for name in (*WORKERS, JOINING):
                worker = supervisor.add(name, settings, self.folder / name)
                if name in WORKERS:
                    worker.start()
            for name in WORKERS:
                await supervisor.workers[name].process.wait_until_ready()
                await supervisor.workers[name].process.wait_for_items(ITEMS)
            self.progress.began_s = time.monotonic()
            self.progress.enter("faults")
            watching = group.create_task(supervisor.run())
            loading = group.create_task(self._load(publisher, catalogue, shoppers))
            runner = FaultRunner(
                seed=self.plan.seed,
                supervisor=supervisor,
                broker=broker,
                messages=MessageFaults(settings, publisher, shoppers),
                models=self.folder / "models" / BUNDLE.parent.name,
                report=self._done,
            )
            faults = group.create_task(runner.run(self.plan.faults))
            await asyncio.sleep(self.plan.seconds)
            await faults
            loading.cancel()
            await self._settle(settings, publisher, catalogue, answered)
            watching.cancel()
            for name in WORKERS:
                await supervisor.stop(supervisor.workers[name], "end of the run")
        await publisher.stop()
        restored = await self._restore(settings, supervisor)
        return Outcome(await self._evidence(settings, supervisor, restored), runner.done)

    async def _load(self, publisher: Publisher, catalogue: Catalogue, shoppers: list[Shopper]) -> None:
        """Publish events at a steady rate, without waiting for lists, until cancelled."""
        turn = 0
        while True:
            message = shoppers[turn % len(shoppers)].act() if turn % int(1 / CHANGES) else catalogue.change()
            await publisher.begin(message)
            turn += 1
            self.progress.sent = publisher.sent
            await asyncio.sleep(1 / self.plan.rate)

    async def _settle(self, settings: Settings, publisher: Publisher, catalogue: Catalogue, answered: set[str]) -> None:
        """Send a last event to each partition, and wait until they are answered and all transitions are counted.

        Everything before them in their partitions is then answered too.
        """
        self.progress.enter("the load ends: waiting for the last lists")
        shoppers: dict[int, Shopper] = {}
        for number in range(100):
            shopper = Shopper(f"last-{number}", self.plan.seed, datetime.now(UTC), 1.0)
            shoppers.setdefault(partition_of(shopper.user_id.encode(), self.plan.partitions), shopper)
        last: dict[str, Message] = {}
        for shopper in shoppers.values():
            for topic, action in (("clicks", "view"), ("searches", "search")):
                fields = shopper.fields(action)
                last[str(fields["event_id"])] = Message(topic, *shopper.keyed(fields))
        await publisher.send(last.values())
        await publisher.send([catalogue.new("last") for _ in range(4 * self.plan.partitions)])
        try:
            await until(lambda: last.keys() <= answered, "the last events have lists", READY_S)
            await until(lambda: is_counted(settings), "all transitions are counted", READY_S)
        except AssertionError as error:
            self.progress.show(str(error))

    async def _restore(self, settings: Settings, supervisor: Supervisor) -> dict[str, State]:
        """Return the state that a worker with an empty directory restores."""
        self.progress.enter("a worker with an empty directory restores the state")
        worker = supervisor.add("restored", settings, self.folder / "restored")
        worker.start()
        await worker.process.wait_until_ready()
        await supervisor.stop(worker, "end of the run")
        return {
            changelog_topic(settings, table): on_disk(worker.process.data_dir / table)
            for table in (PROFILES, COOCCURRENCE)
        }

    async def _evidence(self, settings: Settings, supervisor: Supervisor, restored: dict[str, State]) -> Evidence:
        self.progress.enter("reading the topics")
        names = Topics(
            clicks=settings.topics.clicks,
            searches=settings.topics.searches,
            items=settings.topics.items,
            item_vectors=settings.topics.item_vectors,
            recommendations=settings.topics.recommendations,
            dead_letters=settings.topics.dead_letters,
            profiles=changelog_topic(settings, PROFILES),
            cooccurrence=changelog_topic(settings, COOCCURRENCE),
        )
        every = vars(names).values()
        return Evidence(
            topics=names,
            partitions=self.plan.partitions,
            records=await read_topics(settings.kafka.bootstrap_servers, dict.fromkeys(every, self.plan.partitions)),
            known_items={item_id(number) for number in range(ITEMS)},
            logs={name: worker.process.log for name, worker in supervisor.workers.items() if worker.started_s},
            secrets=(SECRET,),
            exits=supervisor.exits,
            restored=restored,
        )

    def _done(self, done: Done) -> None:
        lasted = done.ended_s - done.began_s
        self.progress.show(f"{done.fault.at_s:7.1f} s  {done.fault}  ({lasted:.1f} s) {done.result}")
        with (self.folder / "faults.jsonl").open("a") as file:
            file.write(json.dumps(asdict(done)) + "\n")

    def _exited(self, end: Exit) -> None:
        kind = "explained" if end.reason else "unexplained"
        self.progress.exits[kind] += 1
        self.progress.show(f"           {end.worker} ended with {end.code}: {end.reason or 'no fault explains it'}")
