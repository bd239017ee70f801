"""Rebalances: locks are released, and state ahead of its changelog is rebuilt."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from rocksdict import Cache

from streams.state.database import OFFSET_KEY, database_options, open_database
from streams.state.rocksdb import OFFSET_EVERY
from tests.streams.state.stores import BUFFER_BYTES, CACHE_BYTES, changelog, get, put, record, restore, store_in


async def test_a_revoked_partition_is_unlocked_and_late_deliveries_do_not_reopen_it(
    tmp_path: Path,
) -> None:
    store = store_in(tmp_path)
    for partition in range(2):
        put(store, partition, b"u", b"profile")
    store.note_delivered(0, 8)
    await store.on_rebalance(set(), {changelog(0), changelog(1, "another-topic")}, set())
    for late in range(OFFSET_EVERY):
        store.note_delivered(0, 9 + late)
    other = open_database(tmp_path / "0", database_options(Cache(CACHE_BYTES), BUFFER_BYTES))
    assert other[OFFSET_KEY] == b"8"
    other.close()
    with pytest.raises(Exception, match="lock"):
        open_database(tmp_path / "1", database_options(Cache(CACHE_BYTES), BUFFER_BYTES))
    await store.stop()


@pytest.mark.parametrize(("end", "kept"), [(8, True), (1000, True), (7, False), (1, False), (0, False)])
async def test_state_ahead_of_the_changelog_is_rebuilt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end: int, kept: bool
) -> None:
    store = store_in(tmp_path)
    restore(store, record(0, 7, b"u", b"profile"), record(1, 7, b"u", b"profile"))
    store.note_delivered(0, 7)
    with caplog.at_level(logging.WARNING):
        assert store.starts_over(changelog(0), end) is not kept
        assert not store.starts_over(changelog(1), 8)
    assert get(store, 0, b"u") == (b"profile" if kept else None)
    assert ("rebuilding" in caplog.text) is not kept
    assert get(store, 1, b"u") == b"profile"
    assert store.persisted_offset(changelog(0)) == (7 if kept else None)
    await store.stop()
    again = store_in(tmp_path)
    assert again.persisted_offset(changelog(0)) == (7 if kept else None)
    await again.stop()


async def test_a_late_delivery_sets_no_offset_in_a_recreated_database(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    restore(store, record(0, 3, b"u", b"profile"))
    await store.on_rebalance(set(), {changelog(0)}, set())
    store.note_delivered(0, 4)
    store.reset_state()
    assert get(store, 0, b"u") is None
    await store.stop()
    again = store_in(tmp_path)
    offset = again.persisted_offset(changelog(0))
    await again.stop()
    assert offset is None
