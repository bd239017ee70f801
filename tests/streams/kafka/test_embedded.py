"""The search for a free port. The tests of the embedded broker are in tests/integration/test_brokers.py."""

from __future__ import annotations

import socket

import pytest

from streams.errors import StreamsError
from streams.kafka import embedded
from streams.kafka.embedded import LOOPBACK, free_port


def test_a_port_in_use_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(embedded, "PORTS", range(port, port + 1))
    monkeypatch.setattr(embedded, "TRIES", 1)
    assert free_port() == port
    with socket.socket() as user:
        user.bind((LOOPBACK, port))
        with pytest.raises(StreamsError, match=rf"no free port among 1 from {port} to {port}: stop the programs"):
            free_port()
