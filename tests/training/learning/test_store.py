"""Lists on disk: bounded, with their place in Kafka, and robust against damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.types import stable_key
from tests.training.learning.acts import view
from tests.training.learning.some_lists import gathered
from training.learning.gathering import Gathered
from training.learning.outcomes import no_exposure
from training.learning.store import ListStore, as_lists, drawn
from training.ranker.provenance import event_hashes, period

PERIOD = (period(event_hashes([view(0, 1), view(1, 2)]), [view(0, 1), view(1, 2)]),)

MODEL = "one"


def write(store: ListStore, lists: list[Gathered], offset: int) -> None:
    exposure = no_exposure()
    exposure[0, 0, 0] = len(lists)
    store.write(as_lists(lists, PERIOD), {"1/0": exposure}, {"clicks/0": offset})


def test_lists_come_back_after_a_restart(tmp_path: Path) -> None:
    store = ListStore(tmp_path, 1000, MODEL)
    write(store, gathered("query", 30), 40)
    write(store, gathered("query", 20, start_ms=30 * 60_000, seed=1), 70)
    again = ListStore(tmp_path, 1000, MODEL)
    assert again.positions == {"clicks/0": 70}
    assert again.exposures()["1/0"].sum() == store.exposures()["1/0"].sum() == 50
    before, after = store.read(), again.read()
    assert before is not None
    assert after is not None
    assert len(after) == 50
    np.testing.assert_array_equal(before.examples.features, after.examples.features)
    np.testing.assert_array_equal(before.shoppers, after.shoppers)
    assert before.examples.fitted_to == after.examples.fitted_to == PERIOD
    np.testing.assert_array_equal(before.times, after.times)
    assert (np.diff(after.times) > 0).all()


def test_the_oldest_files_are_deleted_above_the_limit(tmp_path: Path) -> None:
    store = ListStore(tmp_path, 50, MODEL)
    for number in range(5):
        write(store, gathered("query", 20, start_ms=number * 10**8), number)
    assert len(store) == 60  # a file is deleted when the others are enough
    assert len(list(tmp_path.glob("*.npz"))) == 3
    lists = store.read()
    assert lists is not None
    assert lists.times.min() == 2 * 10**8


@pytest.mark.parametrize("content", [b"", b"damaged", b"PK\x03\x04"])
def test_a_damaged_file_is_skipped(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    store = ListStore(tmp_path, 1000, MODEL)
    for number in range(2):
        write(store, gathered("query", 10, start_ms=number * 10**8), number)
    (tmp_path / "lists-000000001.npz").write_bytes(content)
    again = ListStore(tmp_path, 1000, MODEL)
    assert len(again) == 10
    assert "cannot be read, its lists are left out" in caplog.text
    write(again, gathered("query", 5, start_ms=10**9), 9)
    assert len(ListStore(tmp_path, 1000, MODEL)) == 15


def test_an_unfinished_file_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    (tmp_path / "lists-000000001.new").write_bytes(b"half")
    assert len(ListStore(tmp_path, 10, MODEL)) == 0
    assert not list(tmp_path.iterdir())


def test_the_lists_of_a_forgotten_shopper_are_deleted(tmp_path: Path) -> None:
    lists = [each._replace(shopper=stable_key("u") if number % 4 == 0 else 7)
             for number, each in enumerate(gathered("query", 20))]  # fmt: skip
    store = ListStore(tmp_path, 1000, MODEL)
    write(store, lists, 5)
    store.forget(stable_key("u"), 16 * 60_000)
    for each in (store, ListStore(tmp_path, 1000, MODEL)):
        found = each.read()
        assert found is not None
        # Lists 0, 4, 8, 12 and 16 are of the shopper, one a minute. There is none after minute 16.
        assert set(found.shoppers.tolist()) == {7}
        assert len(found) == 15
        assert each.positions == {"clicks/0": 5}


def test_lists_after_the_request_to_forget_stay(tmp_path: Path) -> None:
    store = ListStore(tmp_path, 1000, MODEL)
    write(store, [each._replace(shopper=stable_key("u")) for each in gathered("query", 20)], 5)
    store.forget(stable_key("u"), 9 * 60_000)
    found = store.read()
    assert found is not None
    assert found.times.tolist() == [minute * 60_000 for minute in range(10, 20)]


def test_lists_of_another_encoder_are_gathered_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(ListStore(tmp_path, 1000, MODEL), gathered("query", 20), 5)
    assert len(ListStore(tmp_path, 1000, MODEL)) == 20
    other = ListStore(tmp_path, 1000, "other")
    assert len(other) == 0
    assert other.positions == {}
    assert "its lists are gathered again" in caplog.text
    assert not list(tmp_path.iterdir())


def test_lists_may_be_drawn_several_times(tmp_path: Path) -> None:
    store = ListStore(tmp_path, 1000, MODEL)
    write(store, gathered("query", 6), 1)
    lists = store.read()
    assert lists is not None
    examples = drawn(lists, np.array([1, 1, 4]))
    assert examples.groups.tolist() == np.repeat([0, 1, 2], 12).tolist()
    np.testing.assert_array_equal(examples.features[:12], examples.features[12:24])
    np.testing.assert_array_equal(examples.features[24:], lists.examples.lists(np.arange(6) == 4).features)
