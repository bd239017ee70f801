"""The process that reads Kafka: which error ends it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka.errors import KafkaConnectionError

pytest.importorskip("scipy", reason="needs the extra `train`")

from streams.errors import ConfigurationError
from streams.settings import load_settings
from training.learning import process
from training.learning.loop import LearningLoop


class CatalogueReader:
    """A reader that has read everything, and waits for more."""

    def __init__(self, **_options: object) -> None:
        self.caught_up = asyncio.Event()
        self.caught_up.set()

    async def run(self) -> None:
        await asyncio.Event().wait()


class Unreachable:
    """A consumer whose broker has gone."""

    def __init__(self, **_options: object) -> None: ...

    async def start(self) -> None:
        raise KafkaConnectionError("gone")

    async def stop(self) -> None: ...


async def _topics(*_arguments: object) -> dict[str, int]:
    return defaultdict(lambda: 1)


async def test_a_broker_that_goes_away_ends_it_with_a_single_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "require_topics", _topics)
    monkeypatch.setattr(process, "BroadcastReader", CatalogueReader)
    monkeypatch.setattr(process, "AIOKafkaConsumer", Unreachable)
    loop, progress = cast("LearningLoop", SimpleNamespace()), process.Progress()
    with pytest.raises(ConfigurationError, match="reading what to learn from: no connection to"):
        await process.learn(load_settings(cast("Any", {}), env_file=None), loop, progress)
    assert progress.ready() == {"catalogue_read": True, "topics_read": False}
