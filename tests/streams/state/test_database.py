"""Writes to a database whose flushes are behind."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from rocksdict import Cache, Options, Rdict

from streams.errors import StateError
from streams.state import database
from streams.state.database import database_options, open_database, write

BUFFER_BYTES = 64 << 10
FLUSHED_BYTES_PER_S = 200_000
VALUES = [(b"shopper-%d" % number, Random(number).randbytes(1000)) for number in range(400)]
"""Six buffers. Two fill the memory, and one takes a third of a second to be flushed."""


@pytest.fixture
def slow(tmp_path: Path) -> Rdict:
    """A database on a slow disk."""
    options: Options = database_options(Cache(1 << 20), BUFFER_BYTES)
    options.set_ratelimiter(FLUSHED_BYTES_PER_S, 100_000, 10)
    return open_database(tmp_path / "0", options)


def write_each(database: Rdict) -> None:
    """Write the values one by one."""
    for value in VALUES:
        write(database, [value])


def test_a_write_waits_until_flushes_have_caught_up(slow: Rdict) -> None:
    write_each(slow)
    assert [slow.get(key) for key, _ in VALUES] == [value for _, value in VALUES]
    slow.close()


def test_a_write_that_never_succeeds_is_an_error(slow: Rdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "STALL_LIMIT_S", 0.01)
    with pytest.raises(StateError, match=r"required a write within 0\.01 s, got none: the disk is slow or full"):
        write_each(slow)
    slow.close()
