"""The phases of a model change: order, conditions, and recovery from failures."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.retrieval.catalogue import Catalogue
from inference.types import Query, stable_key
from streams import scoring
from streams.contracts.messages import ModelPin
from streams.items.trend_counts import Popularity, Shares
from streams.serving.servable import Servable, ServableSlots
from streams.serving.swap import Phase
from tests.integration.workers import until
from tests.streams.serving.models import FakeModel, pin_of
from tests.streams.serving.swap_harness import ITEMS, NEW, OLD, RANKER, WIDER, Harness, harness
from tests.streams.shoppers import DIM, item_of, unit_vector

__all__ = ["harness"]


async def test_pinning_the_current_model_changes_nothing(harness: Harness) -> None:
    harness.swap.pin(pin_of(OLD))
    await asyncio.sleep(0)
    assert harness.store.loaded == []
    assert harness.swap.phase is Phase.SERVING


async def test_a_model_of_another_space_takes_over_after_all_items_are_encoded(harness: Harness) -> None:
    before = harness.slots.current
    harness.swap.pin(pin_of(NEW))
    await harness.wait_for_phase(Phase.ENCODING)
    await until(lambda: bool(harness.renewals), "encoding is requested", 10)
    for item_id in ITEMS[:-1]:
        await harness.apply(item_id, OLD, NEW)
    assert harness.slots.current is before
    assert harness.slots.next is not None
    assert harness.slots.next.live.lacking == 1
    await harness.apply(ITEMS[-1], OLD, NEW)
    await harness.wait_for_outcome("taken_over")
    now = harness.slots.current
    assert now.model == pin_of(NEW)
    assert harness.slots.all == (now,)
    assert len(now.live) == len(now.scoring.recommender.catalogue) == len(ITEMS)
    info = harness.metrics.registry.get_sample_value
    assert info("intentstream_model_info", {"name": "m", "version": "2", "provider": NEW.provider}) == 1
    assert info("intentstream_model_info", {"name": "m", "version": "1", "provider": OLD.provider}) is None
    # One bundle is loaded: the old one is not loaded again.
    assert harness.store.loaded == [pin_of(NEW)]


async def test_a_rollback_reuses_the_vectors_of_the_previous_model(harness: Harness) -> None:
    for model in (NEW, OLD):
        for item_id in ITEMS:
            await harness.apply(item_id, OLD, NEW)
        harness.swap.pin(pin_of(model))
        await until(lambda model=model: harness.slots.current.model == pin_of(model), "it serves", 10)  # type: ignore[misc]
    await harness.wait_for_outcome("taken_over", 2)
    assert harness.renewals == []


async def test_a_model_may_have_another_dimension(harness: Harness) -> None:
    for item_id in ITEMS:
        await harness.apply(item_id, OLD, WIDER)
    harness.swap.pin(pin_of(WIDER))
    await harness.wait_for_outcome("taken_over")
    assert harness.slots.current.scoring.recommender.catalogue.dim == WIDER.dim


async def wait_for_numbers(harness: Harness, number: int) -> None:
    numbers = harness.factory.behaviour.numbers
    await until(lambda: len(numbers) == number, f"{number} items have a number, {len(numbers)} had", 10)


async def test_the_previous_catalogue_is_released_in_the_scorers_thread_after_its_batches(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "RELEASED_AT_ONCE", 5)
    done, released = list[str](), list[bool]()
    old, close = harness.slots.current.scoring.recommender.catalogue, Catalogue.close

    def closing(catalogue: Catalogue, most: int | None = None) -> bool:
        released.append(catalogue is old and threading.current_thread() is thread)
        done.append("closed")
        return close(catalogue, most)

    monkeypatch.setattr(Catalogue, "close", closing)
    thread = harness.factory.thread.submit(threading.current_thread).result()
    await harness.apply("gone", OLD, NEW)
    await wait_for_numbers(harness, len(ITEMS) + 1)
    for item_id in ITEMS:
        await harness.apply(item_id, OLD, NEW)
    take_over, gate = ServableSlots.take_over, threading.Event()

    def taking_over(slots: ServableSlots, servable: Servable) -> None:
        def batch() -> None:
            assert gate.wait(10)
            done.append("ranked")

        harness.factory.thread.submit(batch)
        take_over(slots, servable)

    monkeypatch.setattr(ServableSlots, "take_over", taking_over)
    harness.swap.pin(pin_of(NEW))
    await harness.wait_for_outcome("taken_over")
    harness.slots.current.live.apply("gone", None)
    gate.set()
    await harness.slots.current.refresh()
    await wait_for_numbers(harness, len(ITEMS))
    assert done == ["ranked", *["closed"] * 3]
    assert all(released)
    # A late change of the closed catalogue adds an item and takes no number.
    old.upsert(item_of("late"), np.zeros(DIM, dtype=np.int8))
    assert len(harness.factory.behaviour.numbers) == len(ITEMS)


@pytest.mark.parametrize("model", [NEW, FakeModel("6", "space-d", fails=True)])
async def test_an_unused_catalogue_releases_its_items(harness: Harness, model: FakeModel) -> None:
    harness.store.models[pin_of(model)] = model
    for item_id in ITEMS[: -1 if model is NEW else None]:
        await harness.apply(item_id, OLD, model)
    before = harness.slots.current.scoring.recommender.catalogue
    harness.swap.pin(pin_of(model))
    if model is NEW:
        await until(lambda: bool(harness.renewals), "encoding is requested", 10)
        harness.swap.pin(pin_of(OLD))
        await harness.wait_for_outcome("superseded")
    else:
        await harness.wait_for_outcome("refused")
    await harness.slots.current.scoring.warm_up()
    for item_id in ITEMS:
        before.remove(item_id)
    await wait_for_numbers(harness, 0)


async def test_a_ranker_in_the_same_space_reuses_the_catalogue(harness: Harness) -> None:
    before = harness.slots.current
    harness.swap.pin(pin_of(RANKER))
    await harness.wait_for_outcome("taken_over")
    now = harness.slots.current
    assert now.live is before.live
    assert now.scoring.recommender.catalogue is before.scoring.recommender.catalogue
    assert len(harness.factory.behaviour.numbers) == len(ITEMS)
    assert harness.renewals == []
    assert harness.announced == [RANKER.version]
    one, other = [
        each.scoring.recommender.recommend([Query(short_term=unit_vector("x"), k=3)])[0] for each in (before, now)
    ]
    assert [i.score + RANKER.shift for i in one.items] == pytest.approx([i.score for i in other.items], abs=1e-5)


async def test_a_refused_bundle_is_logged_and_not_retried(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    missing, before = ModelPin(name="m", version="99"), harness.slots.current
    harness.swap.pin(missing)
    await harness.wait_for_outcome("refused")
    assert harness.slots.current is before
    assert "model m 99 is refused, m 1 keeps serving: fake: not there" in caplog.text
    await harness.swap.scan_folder()
    assert harness.swap.wanted() is None
    # It is retried if its folder changes or it is pinned again.
    harness.store.fingerprints[missing] = 1
    await harness.swap.scan_folder()
    await harness.wait_for_outcome("refused", 2)
    harness.swap.pin(missing)
    await harness.wait_for_outcome("refused", 3)
    assert harness.store.loaded == [missing] * 3


async def test_a_model_that_fails_in_its_warm_up_is_refused(harness: Harness) -> None:
    broken = FakeModel("5", "space-a", fails=True)
    harness.store.models[pin_of(broken)] = broken
    harness.swap.pin(pin_of(broken))
    await harness.wait_for_outcome("refused")
    assert harness.slots.current.model == pin_of(OLD)


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.ENCODING])
async def test_a_newer_pin_cancels_a_running_swap(harness: Harness, phase: Phase) -> None:
    if phase is Phase.LOADING:
        harness.store.gate.clear()
    harness.swap.pin(pin_of(NEW))
    await harness.wait_for_phase(phase)
    harness.swap.pin(pin_of(OLD))
    await harness.wait_for_outcome("superseded")
    harness.store.gate.set()
    assert (harness.slots.current.model, harness.slots.next) == (pin_of(OLD), None)
    harness.swap.pin(pin_of(RANKER))
    await harness.wait_for_outcome("taken_over")


async def test_changes_during_a_swap_are_in_the_new_catalogue(harness: Harness) -> None:
    harness.swap.pin(pin_of(NEW))
    await harness.wait_for_phase(Phase.ENCODING)
    for servable in harness.slots.all:
        servable.live.apply(ITEMS[0], None, 0)
    await harness.apply("late", OLD, NEW)
    for item_id in ITEMS[1:]:
        await harness.apply(item_id, OLD, NEW)
    await harness.wait_for_outcome("taken_over")
    catalogue = harness.slots.current.scoring.recommender.catalogue
    present = {item_id for item_id in [*ITEMS, "late"] if catalogue.get(stable_key(item_id))}
    assert present == {*ITEMS[1:], "late"}


async def test_popularity_and_labels_are_kept_in_a_swap(harness: Harness) -> None:
    harness.popularity = Popularity(Shares.of({stable_key("i3"): 1.0}))
    for item_id in ITEMS:
        await harness.apply(item_id, OLD, NEW)
    labels = {key: harness.slots.current.live.label(key) for key in harness.slots.current.live._labels}
    harness.swap.pin(pin_of(NEW))
    await harness.wait_for_outcome("taken_over")
    now = harness.slots.current
    row = now.scoring.recommender.catalogue.row(stable_key("i3"))
    assert now.scoring.recommender.catalogue.columns.popularity[row] == 1.0
    assert {key: now.live.label(key) for key in labels} == labels


async def test_a_pin_precedes_the_folder_and_the_folder_precedes_the_settings(harness: Harness) -> None:
    swap, store = harness.swap, harness.store
    swap.serves_newest = True
    store.newest_model = pin_of(RANKER)
    swap.pin(pin_of(OLD))
    await swap.scan_folder()
    assert swap.wanted() is None
    swap.pin(None)
    await until(lambda: harness.slots.current.model == pin_of(RANKER), "the newest serves", 10)
    await harness.wait_for_phase(Phase.SERVING)
    store.newest_model = None
    await swap.scan_folder()
    await until(lambda: harness.slots.current.model == pin_of(OLD), "what the settings name serves", 10)


async def test_the_arrays_of_a_replaced_model_are_freed(harness: Harness) -> None:
    gone = weakref.ref(harness.slots.current.scoring.recommender.catalogue.columns.vectors)
    for item_id in ITEMS:
        await harness.apply(item_id, OLD, NEW)
    harness.slots.current.scoring.recommender.recommend([Query(short_term=unit_vector("x"), k=3)])
    gc.disable()
    try:
        harness.swap.pin(pin_of(NEW))
        await harness.wait_for_outcome("taken_over")
        await until(lambda: gone() is None, "the old arrays are freed by reference counting alone", 10)
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [RuntimeError("two\nlines \x1b[31m"), RecursionError(), MemoryError(), KeyError("x")])
async def test_any_error_of_a_candidate_leaves_the_current_model(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fails(_model: ModelPin) -> Bundle:
        raise error

    monkeypatch.setattr(harness.store, "load", fails)
    harness.swap.pin(pin_of(NEW))
    await harness.wait_for_outcome("refused")
    assert harness.slots.current.model == pin_of(OLD)
    (logged,) = [each.getMessage() for each in caplog.records if "is refused" in each.getMessage()]
    assert logged.isprintable()
    assert type(error).__name__ in logged
