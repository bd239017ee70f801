"""An event is acknowledged when its session is told: a crash before it has the event read, and told, again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaTimeoutError

from inference.types import SessionItems
from streams.behaviour.sessions import RecentSessions
from streams.contracts import serde
from streams.kafka.outbox import Outbox
from streams.worker.session_path import SessionPath
from tests.streams.brokers import ScriptedOutbox


def session(key: int, *items: int) -> SessionItems:
    return SessionItems(key=key, at_ms=1, items=items)


def event(offset: int) -> Any:
    return SimpleNamespace(offset=offset)


class Bench:
    """A path, its brokers, and what was acknowledged."""

    def __init__(self) -> None:
        self.outbox = ScriptedOutbox()
        self.acknowledged: list[int] = []
        self.sessions = RecentSessions()
        self.path = SessionPath(
            sessions=self.sessions,
            outbox=cast("Outbox", self.outbox),
            sessions_topic="sessions",
            acknowledge=lambda message: self.acknowledged.append(message.offset),
        )


async def test_events_wait_for_their_sessions_and_keep_their_order() -> None:
    bench = Bench()
    bench.sessions.observe(session(7, 1, 2))
    bench.path.answered(event(0))
    bench.path.answered(event(1))
    telling = asyncio.create_task(bench.path.tell())
    await asyncio.sleep(0)
    bench.path.answered(event(2))
    (delivery,) = bench.outbox.deliveries
    assert bench.acknowledged == []
    delivery.arrive()
    await telling
    assert bench.acknowledged == [0, 1]
    assert [(key, serde.decode_session(value)) for key, value in delivery.messages] == [
        ((7).to_bytes(8, "big"), session(7, 1, 2))
    ]
    await bench.path.tell()
    assert bench.acknowledged == [0, 1, 2]
    assert len(bench.outbox.deliveries) == 1


async def test_a_session_that_is_not_delivered_acknowledges_nothing() -> None:
    bench = Bench()
    bench.sessions.observe(session(7, 1, 2))
    bench.path.answered(event(0))
    telling = asyncio.create_task(bench.path.tell())
    await asyncio.sleep(0)
    bench.outbox.deliveries[0].fail(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await telling
    assert bench.acknowledged == []
