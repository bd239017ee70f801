"""The changelog offset of a database: written regularly, and never ahead of the data."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.state.database import OFFSET_KEY
from streams.state.rocksdb import OFFSET_EVERY
from tests.streams.state.stores import changelog, get, put, record, restore, store_in


async def persisted(directory: Path, partition: int = 0) -> int | None:
    """Return the stored offset, as the next worker reads it."""
    store = store_in(directory)
    offset: int | None = store.persisted_offset(changelog(partition))
    await store.stop()
    return offset


async def test_a_new_database_has_no_offset(tmp_path: Path) -> None:
    assert await persisted(tmp_path) is None


async def test_the_offset_lags_by_less_than_offset_every_and_never_leads(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, 0, b"u", b"profile")
    for delivered in range(3 * OFFSET_EVERY):
        store.note_delivered(0, delivered)
        expected = (delivered + 1) // OFFSET_EVERY * OFFSET_EVERY - 1
        assert store.persisted_offset(changelog(0)) == (None if expected < 0 else expected)
    await store.stop()


async def test_closing_writes_the_last_delivered_offset(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, 0, b"u", b"not delivered yet")
    put(store, 1, b"u", b"profile")
    store.note_delivered(1, 41)
    await store.stop()
    assert (await persisted(tmp_path, 0), await persisted(tmp_path, 1)) == (None, 41)


@settings(max_examples=10)
@given(st.permutations(range(20)))
def test_the_offset_is_the_highest_delivery_in_any_order(offsets: list[int]) -> None:
    async def offset_after(directory: Path) -> int | None:
        store = store_in(directory)
        put(store, 0, b"u", b"profile")
        for offset in offsets:
            store.note_delivered(0, offset)
        await store.stop()
        return await persisted(directory)

    with TemporaryDirectory() as directory:
        assert asyncio.run(offset_after(Path(directory))) == 19


async def test_a_changelog_record_without_a_key_is_skipped(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    restore(store, record(0, 1, b"u", b"profile"), record(0, 2, cast("bytes", None), b"junk"), record(0, 3, b"", b""))
    assert get(store, 0, b"u") == b"profile"
    assert store.persisted_offset(changelog(0)) == 3
    await store.stop()


async def test_a_changelog_batch_is_applied_in_order_with_the_offset_of_each_partition(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, 0, b"left", b"of old")
    restore(
        store,
        record(0, 10, b"u", b"old"),
        record(1, 3, b"u", b"of 1"),
        record(0, 11, b"gone", b"soon"),
        record(0, 12, b"u", b"new"),
        record(0, 14, b"gone", None),
        record(0, 15, b"left", None),
        record(0, 16, b"back", None),
        record(0, 17, b"back", b"again"),
    )
    await store.stop()
    again = store_in(tmp_path)
    assert {key: get(again, 0, key) for key in (b"u", b"gone", b"left", b"back")} == {
        b"u": b"new", b"gone": None, b"left": None, b"back": b"again"
    }  # fmt: skip
    assert get(again, 1, b"u") == b"of 1"
    assert (again.persisted_offset(changelog(0)), again.persisted_offset(changelog(1))) == (17, 3)
    await again.stop()


async def test_a_failed_batch_writes_neither_records_nor_offset(tmp_path: Path) -> None:
    def broken() -> Iterator[Any]:
        yield record(0, 5, b"u", b"new")
        raise ConnectionError("the broker went away")

    store = store_in(tmp_path)
    restore(store, record(0, 4, b"u", b"old"))
    with pytest.raises(ConnectionError):
        store.apply_changelog_batch(broken(), lambda key: key, lambda value: value)
    assert (get(store, 0, b"u"), store.persisted_offset(changelog(0))) == (b"old", 4)
    await store.stop()


async def test_restore_writes_values_and_offset(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, 0, b"u", b"old")
    put(store, 0, b"gone", b"soon")
    put(store, 0, b"left", b"as it is")
    store.restore(0, {b"u": b"new", b"gone": None, b"never": None, b"empty": b""}, 7)
    await store.stop()
    again = store_in(tmp_path)
    assert {key: get(again, 0, key) for key in (b"u", b"gone", b"left", b"never", b"empty")} == {
        b"u": b"new", b"gone": None, b"left": b"as it is", b"never": None, b"empty": b""
    }  # fmt: skip
    assert again.persisted_offset(changelog(0)) == 7
    await again.stop()


async def test_a_failed_restore_leaves_the_database_unchanged(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    restore(store, record(0, 4, b"u", b"old"))
    with pytest.raises(Exception, match="bytes"):
        store.restore(0, {b"u": b"new", "no bytes": b"value"}, 5)  # type: ignore[dict-item]
    assert (get(store, 0, b"u"), store.persisted_offset(changelog(0))) == (b"old", 4)
    await store.stop()


async def test_restore_does_not_open_a_database(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(KeyError):
        store.restore(0, {b"u": b"late"}, 4)
    assert not (tmp_path / "0").exists()
    await store.stop()


async def test_records_up_to_the_stored_offset_are_ignored(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    put(store, 0, b"u", b"newest")
    store.set_persisted_offset(changelog(0), 9)
    restore(store, record(0, 8, b"u", b"older"), record(0, 9, b"u", b"newest"), record(1, 2, b"u", b"of 1"))
    assert (get(store, 0, b"u"), store.persisted_offset(changelog(0))) == (b"newest", 9)
    assert (get(store, 1, b"u"), store.persisted_offset(changelog(1))) == (b"of 1", 2)
    restore(store, record(0, 9, b"u", b"older"), record(0, 10, b"u", None))
    assert (get(store, 0, b"u"), store.persisted_offset(changelog(0))) == (None, 10)
    await store.stop()


def test_the_offset_key_is_no_valid_user_id() -> None:
    with pytest.raises(UnicodeDecodeError):
        OFFSET_KEY.decode()
