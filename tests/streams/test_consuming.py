"""A worker that stops waits until it has left its group, but not for ever."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import MagicMock

import pytest

from streams.worker import consuming


class Client:
    """A client that takes as long to leave as it is told to; a real one waits for ever in one start of a hundred."""

    def __init__(self, leaving_s: float) -> None:
        self.leaving_s = leaving_s
        self.left = False

    async def stop(self) -> None:
        await asyncio.sleep(self.leaving_s)
        self.left = True


@pytest.mark.parametrize("leaving_s", [0.0, 3600.0], ids=["leaves", "never leaves"])
async def test_a_client_that_never_leaves_its_group_is_left_behind(
    leaving_s: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(consuming, "LEAVE_S", 0.05)
    loop = asyncio.get_running_loop()
    thread: Any = consuming.ConsumerThread(MagicMock(), loop=loop, thread_loop=loop)
    thread._consumer = Client(leaving_s)
    await thread.on_thread_stop()
    assert thread._consumer.left is (leaving_s == 0.0)
    assert ("the group was not left" in caplog.text) is (leaving_s > 0.0)
