"""Ownership of partitions: the brokers refuse what a former owner sends.

A producer id has an epoch, and a partition's log refuses record batches of an epoch older than the newest that it has
seen. So all owners of a partition write with the same producer id, each with the next epoch. The brokers give both for
a transactional id, although nothing is sent in a transaction. See docs/decisions/0011-fencing.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, for_code
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.transaction_manager import PidAndEpoch
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.structs import TopicPartition

from streams.lease import Lease

log = logging.getLogger(__name__)

FENCE = b"\xfffence"
"""Key of the first record that a new owner writes to a changelog, a tombstone: the log knows the new epoch from then
on. Keys of values are UTF-8, which has no byte 0xFF, so the record changes no value."""
TRANSACTION_TIMEOUT_MS = 60_000
RETRY_S, REPORT_S = 0.1, 10.0
"""Seconds between attempts to get a producer id, and until the log mentions that none comes."""

UNAVAILABLE = (
    errors.TransactionalIdAuthorizationFailed,
    errors.ClusterAuthorizationFailedError,
    errors.UnsupportedVersionError,
    errors.IncompatibleBrokerVersion,
    errors.InvalidRequestError,
)
"""Errors of brokers that give no producer ids for transactional ids, or not to this user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """The topics that only the owner of a partition writes to.

    Attributes:
        lease: nothing is sent while it is not valid.
        group: the consumer group, the start of the transactional ids.
        changelogs: topics that a new owner reads to their end before it writes to them.
        others: other topics.
    """

    lease: Lease
    group: str
    changelogs: frozenset[str]
    others: frozenset[str] = frozenset()

    @property
    def topics(self) -> frozenset[str]:
        """All topics."""
        return self.changelogs | self.others


class OwnedBatches(MessageAccumulator):  # type: ignore[misc]  # aiokafka is untyped
    """Accumulator of a producer that writes to owned partitions with their own producer ids.

    Attributes:
        owners: producer id and epoch of each owned partition, None for the producer's own.
    """

    def __init__(self, *arguments: Any, lease: Lease, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.owners: dict[TopicPartition, PidAndEpoch | None] = {}
        self._lease = lease

    def own(self, owners: Mapping[TopicPartition, PidAndEpoch | None]) -> None:
        """Write to these partitions with these producer ids from the next batch on. None of theirs may be in flight."""
        for partition, owner in owners.items():
            if owner is not None:
                self._txn_manager._sequence_numbers.pop(partition, None)  # an epoch begins at 0
            self.owners[partition] = owner

    def wake(self) -> None:
        """Let the sender look for batches again."""
        self._wakeup(self._waiter_future)

    def drain_by_nodes(self, ignore_nodes: Any, muted_partitions: Collection[TopicPartition] = frozenset()) -> Any:
        """Return the batches to send now: none while the lease is not valid. Retries come through here as well."""
        # aiokafka skips muted partitions. Their batches stay in the accumulator until the lease is valid again or they
        # are dropped.
        if not self._lease.is_valid:
            muted_partitions = {*muted_partitions, *self._batches}
        return super().drain_by_nodes(ignore_nodes, muted_partitions)

    def drop(self, error: Exception) -> None:
        """Fail all batches with this error, and all later ones."""
        for batches in self._batches.values():
            self._pending_batches.update(batches)  # where the callback of a batch that waits for a retry looks for it
        self._batches.clear()
        self.fail_all(error)
        for batch in self._pending_batches:
            if not batch._drain_waiter.cancelled():
                batch._drain_waiter.exception()  # nobody waits for it: asyncio would log the error

    def reenqueue(self, batch: Any) -> None:
        """Put a batch back for a retry, unless it was dropped meanwhile."""
        if not batch.future.done():
            super().reenqueue(batch)

    def _pop_batch(self, tp: TopicPartition) -> Any:
        # aiokafka numbers a batch here, with the producer id of its transaction manager.
        manager, owner = self._txn_manager, self.owners.get(tp)
        if owner is None:
            return super()._pop_batch(tp)
        # There is no await before the id is put back, so no other batch gets the owner's id.
        own, manager._pid_and_epoch = manager._pid_and_epoch, owner
        try:
            return super()._pop_batch(tp)
        finally:
            manager._pid_and_epoch = own


async def next_epoch(client: AIOKafkaClient, transactional_id: str) -> PidAndEpoch:
    """Return the producer id of a transactional id with its next epoch. Retry until the brokers answer.

    Raises one of UNAVAILABLE if they never will.
    """
    loop = asyncio.get_running_loop()
    report_at = loop.time() + REPORT_S
    while True:
        try:
            node = await client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            request = InitProducerIdRequest(transactional_id, TRANSACTION_TIMEOUT_MS)
            response = await client.send(node, request, group=ConnectionGroup.COORDINATION)
        # They are KafkaErrors too, so they come before the errors that are tried again.
        except UNAVAILABLE:
            raise
        except KafkaError as failed:
            error = failed
        else:
            if not response.error_code:
                return PidAndEpoch(response.producer_id, response.producer_epoch)
            error = for_code(response.error_code)()
            if isinstance(error, UNAVAILABLE):
                raise error
        if loop.time() > report_at:
            log.warning("no producer id for %s yet, its partitions wait: %r", transactional_id, error)
            report_at = float("inf")
        await asyncio.sleep(RETRY_S)
