"""The Faust app of a worker: its options, its drain, and the process that runs it."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from functools import wraps
from typing import Any

import faust
from aiokafka.errors import ProducerFenced
from faust import SASLCredentials, SSLCredentials
from faust.assignor import PartitionAssignor
from faust.types import TP, Message, StreamT
from mode.supervisors import CrashingSupervisor

from streams.errors import OwnershipLost, StreamsError
from streams.kafka.clients import consumer_options, tls_context
from streams.lease import Lease
from streams.metrics import Metrics
from streams.settings import Settings
from streams.settings_groups import Kafka
from streams.state.restore import BulkRestorer
from streams.worker.checkpoint import Checkpoint
from streams.worker.ending import Ending
from streams.worker.faust.consumer import Consumer
from streams.worker.faust.monitor import WorkerMonitor
from streams.worker.faust.recovery import Tables
from streams.worker.health import Health

log = logging.getLogger(__name__)


class WorkerApp(faust.App):  # type: ignore[misc]  # Faust is untyped
    """Faust's app with a drain: it waits for messages in flight, not only for empty streams.

    Attributes:
        prepare: awaited before the app joins its group. Until then the former owners serve its partitions.
        drain: awaited before partitions go. Returns whether everything was published.
        drop: awaited instead, if another worker may own the partitions already. Forgets all messages.
        take_over: awaited before the tables are restored, with the assigned partitions.
        lease: whether the group still counts this worker as the owner of its partitions.
        unfinished: what a stop left to the next owners, None for nothing. It makes the process end with exit code 1.
        restorer: restores tables that miss many changelog records.
    """

    logger = logging.getLogger("faust.app")

    def __init__(
        self, *arguments: Any, restorer: BulkRestorer, lease: Lease, metrics: Metrics, health: Health, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.restorer = restorer
        self.lease = lease
        self.health = health
        self.prepare: Callable[[], Awaitable[None]] | None = None
        self.drain: Callable[[], Awaitable[bool]] | None = None
        self.drop: Callable[[], Awaitable[None]] | None = None
        self.take_over: Callable[[set[TP]], Awaitable[None]] | None = None
        self.unfinished: StreamsError | None = None
        self._metrics = metrics
        self._disowned = False

    async def on_start(self) -> None:
        """Prepare the worker. Faust starts its consumer after this."""
        await super().on_start()
        if self.prepare is not None:
            await self.prepare()

    def read(self, name: str, topics: Sequence[str], checkpoint: Checkpoint[Message]) -> None:
        """Add an agent that puts the messages of some topics into a checkpoint. Its failure stops the worker."""

        async def agent(stream: StreamT) -> None:
            # Without `noack` Faust acknowledges an event whose agent raises, and may commit past events in flight.
            async for event in stream.noack().events():
                await checkpoint.put(event.message)

        source = self.topic(*topics, key_type=bytes, value_type=bytes)
        self.agent(source, name=name, isolated_partitions=True, supervisor_strategy=CrashingSupervisor)(agent)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Mark messages as acknowledged, so that Faust commits their offsets."""
        consumer = self.consumer
        for message in messages:
            message.ack(consumer)

    def run_guarded(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run background work of the whole life in a task, and stop the worker if it fails."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:
                await self.crash(error)
                raise

        task: asyncio.Task[None] = self.add_future(guarded())
        return task

    def delivery_failed(self, error: BaseException) -> None:
        """Stop the worker with this error, or join the group again if another worker owns the partition.

        Either way the next owner reads the unacknowledged messages again.
        """
        if isinstance(error, OwnershipLost):
            return  # dropped on purpose
        if not isinstance(error, ProducerFenced):
            self.add_future(self.crash(error))
            return
        self._metrics.stale_writes.inc()
        if not self._disowned:
            # Once for all refused writes of a loss. The rebalance that follows resets it.
            self._disowned = True
            log.warning("the brokers refused a write: another worker owns the partition; joining the group again")
            self.consumer.rejoin()

    def read_again(self, topics: Collection[str]) -> None:
        """Read these topics from their beginning, and all others on, with new metadata: a rebalance of this worker."""
        self.consumer.read_again(topics)

    def guarded(self, publish: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Return a timer's function whose failed deliveries are handled like all others."""

        @wraps(publish)  # the name is in Faust's log
        async def guarded() -> None:
            try:
                await publish()
            except (OwnershipLost, ProducerFenced) as error:
                self.delivery_failed(error)

        return guarded

    async def _consumer_wait_empty(self, consumer: Any, logger: Any) -> None:  # noqa: ARG002 - Faust's hook
        # Faust calls this before partitions go to another worker, and before it stops. A later write to the changelog
        # could overwrite one of the next owner.
        if self.drain is None or self.drop is None or self.crashed:
            return
        drained = self._owns_partitions and await self.drain()
        if self.should_stop:
            return  # the consumer commits when it stops
        # The lease may have ended during the drain. Offsets of another owner's partitions must not be committed.
        if not self._owns_partitions:
            self._metrics.ownership_lost.inc()
            await self.drop()
            self._disowned = False
            return
        if not drained:
            raise StreamsError(
                "messages were still in flight when their partitions were to go to another worker, which reads them "
                "again: check for slow brokers, and start the worker again"
            )
        await consumer.commit()

    @property
    def _owns_partitions(self) -> bool:
        """Whether no other worker can own this worker's partitions yet."""
        return self.consumer.is_member and self.lease.is_valid and not self._disowned

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        # Faust stops the flow only if the worker had partitions. Messages that arrive while it prepares new partitions
        # would count as read and never be processed.
        self.consumer.stop_flow()
        await super()._on_partitions_revoked(revoked)

    def _new_transport(self) -> Any:
        transport = super()._new_transport()
        transport.Consumer = Consumer
        return transport


class Assignor(PartitionAssignor):  # type: ignore[misc]  # Faust is untyped
    """Faust's assignor for topics of a fixed number of partitions.

    Partitions that a topic got later are not assigned. Faust would no longer give the partitions of this topic to the
    owners of the same partitions of the other topics.
    """

    def _perform_assignment(self, cluster: Any, member_metadata: Any) -> Any:
        return super()._perform_assignment(_FirstPartitions(cluster, self.app.conf.topic_partitions), member_metadata)


class _FirstPartitions:
    """Kafka's metadata, as far as Faust's assignor uses it, with a limited number of partitions."""

    def __init__(self, cluster: Any, limit: int) -> None:
        self._cluster, self._limit = cluster, limit

    def partitions_for_topic(self, topic: str) -> set[int]:
        """Return the partitions of a topic, none if it is missing."""
        return {number for number in self._cluster.partitions_for_topic(topic) or () if number < self._limit}


def worker_app(settings: Settings, metrics: Metrics, health: Health) -> WorkerApp:
    """Make the Faust app, which consumes in a group and commits. It has no web server and creates no topics."""
    directory = settings.state.data_dir / "faust"
    directory.mkdir(parents=True, exist_ok=True)
    return WorkerApp(
        settings.kafka.app_id,
        restorer=BulkRestorer(consumer_options(settings.kafka)),
        lease=Lease(settings.kafka.session_timeout_seconds),
        metrics=metrics,
        health=health,
        broker=broker_url(settings.kafka),
        broker_credentials=broker_credentials(settings.kafka),
        datadir=str(directory),
        store="memory://",
        monitor=WorkerMonitor(metrics, health),
        TableManager=Tables,
        PartitionAssignor=Assignor,
        # Otherwise Faust parses every value as JSON, whatever its type, and stops at an invalid one.
        key_serializer="raw",
        value_serializer="raw",
        # The group's assignment names each worker by this URL. Without the HTTP service nobody uses it.
        canonical_url=settings.service.url if settings.service.port else None,
        web_enabled=False,
        web_tables_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.topics.partitions,
        # A standby would read every changelog into a second copy. A lost table is restored from its changelog instead.
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=settings.state.commit_interval_seconds,
        broker_session_timeout=settings.kafka.session_timeout_seconds,
        broker_request_timeout=max(90.0, settings.kafka.session_timeout_seconds + 1),  # Faust requires a longer one
        broker_heartbeat_interval=settings.kafka.session_timeout_seconds / 5,
        stream_recovery_delay=0.0,
        # `PartitionedStore.starts_over` rebuilds a store that is ahead of its changelog. Faust would end the worker.
        recovery_consistency_check=False,
    )


def broker_url(kafka: Kafka) -> str:
    """Return all brokers as one Faust address: `kafka://a:9092;kafka://b:9092`."""
    return ";".join(f"kafka://{server}" for server in kafka.bootstrap_servers.split(","))


def broker_credentials(kafka: Kafka) -> SASLCredentials | SSLCredentials | None:
    """Return Faust's credentials, or None if the brokers require none."""
    context: ssl.SSLContext | None = tls_context(kafka)
    if kafka.uses_sasl:
        return SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value() if kafka.sasl_password else None,
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context is not None else None


def event_loop() -> asyncio.AbstractEventLoop:
    """Create the event loop of the main thread: asyncio's own, see docs/decisions/0009-asyncio-event-loop.md."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


class FaustProcess(faust.Worker):  # type: ignore[misc]  # Faust is untyped
    """Faust's process, which logs why it stops, and ends in bounded time."""

    logger = logging.getLogger("faust.worker")

    def __init__(self, *arguments: Any, ending: Ending, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._ending = ending

    def _schedule_shutdown(self, number: signal.Signals) -> None:
        log.info("stopping: %s", number.name)
        self._ending.begin()
        super()._schedule_shutdown(number)

    def _crash(self, reason: BaseException) -> None:
        self._ending.begin(reason)
        super()._crash(reason)

    async def _sentinel_task(self) -> None:
        """Wait at the end for the tasks that were cancelled. Faust waits a second in any case."""
        cancelled = asyncio.all_tasks() - {asyncio.current_task()}
        if cancelled:
            await asyncio.wait(cancelled, timeout=1.0)


def run(app: WorkerApp, loop: asyncio.AbstractEventLoop, stop_s: float) -> None:
    """Run the app until SIGTERM or Ctrl-C, and then end within `stop_s` seconds.

    A failure, or messages that are left to the next owners, end the process with exit code 1.
    """
    ending = Ending(stop_s)
    process = FaustProcess(app, ending=ending, loop=loop, override_logging=False, redirect_stdouts=False, quiet=True)
    process.spinner = None  # it would draw into the log
    try:
        process.execute_from_commandline()
    except SystemExit as ended:
        # Faust raises SystemExit in any case. Its context is an error of the start.
        if (error := process.crash_reason or ended.__context__ or app.unfinished) is not None:
            ending.fail(error)
        ending.complete()
