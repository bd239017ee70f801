"""The steps of a model change: their order, their conditions, and recovery from every failure."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from inference.bundle import Bundle
from inference.retrieval.catalogue import Catalogue
from inference.types import Query, stable_key
from streams import scoring
from streams.contracts.messages import ModelPin
from streams.items.trending import Popularity, Shares
from streams.metrics import Metrics
from streams.serving.folders import ConfiguredModel
from streams.serving.servable import Servable, ServableSlots
from streams.serving.store import BundleStore
from streams.serving.swap import ModelSwap, Phase
from tests.integration.workers import until
from tests.streams.serving.models import Maker, Shelf, SmallModel, pin_of, record
from tests.streams.shoppers import DIM, item_of, unit_vector

OLD, NEW, RANKER, WIDER = (
    SmallModel("1", "space-a"),
    SmallModel("2", "space-b"),
    SmallModel("3", "space-a", shift=0.25),
    SmallModel("4", "space-c", dim=24),
)
ITEMS = [f"i{number}" for number in range(12)]


@dataclass
class Stage:
    """A swap with what it works on; `renewals` counts how often it asked for items to be encoded."""

    shelf: Shelf
    slots: ServableSlots
    metrics: Metrics
    maker: Maker
    renewals: list[None] = field(default_factory=list)
    popularity: Popularity = field(default_factory=Popularity)
    serves_newest: bool = False

    def __post_init__(self) -> None:
        self.swap = ModelSwap(
            slots=self.slots,
            models=cast("BundleStore", self.shelf),
            make_servable=self.maker.make,
            request_vectors=lambda: self.renewals.append(None),
            popularity=lambda: self.popularity,
            metrics=self.metrics,
            serves_newest=self.serves_newest,
        )

    async def apply(self, item_id: str, *models: SmallModel) -> None:
        """Do what a worker does with a record that it reads."""
        for servable in self.slots.all:
            servable.live.apply(item_id, record(item_id, *models), 0)
        await self.slots.current.refresh()
        self.swap.advance()

    def swaps(self, outcome: str) -> float:
        name = "intentstream_model_swaps_total"
        return self.metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0.0

    async def is_in(self, phase: Phase) -> None:
        await until(lambda: self.swap.phase is phase, f"the swap is {phase.value}", 10)

    async def outcome(self, outcome: str, number: float = 1) -> None:
        await until(lambda: self.swaps(outcome) == number, f"{number} {outcome}", 10)
        await self.is_in(Phase.SERVING)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    metrics, thread = Metrics(), ThreadPoolExecutor(1)
    maker = Maker(thread, metrics)
    shelf = Shelf(
        {pin_of(model): model for model in (OLD, NEW, RANKER, WIDER)},
        configured=ConfiguredModel(pin_of(OLD), Path("m")),
    )
    shelf.gate.set()
    stage = Stage(shelf, ServableSlots(maker.make(cast("Bundle", OLD))), metrics, maker)
    for item_id in ITEMS:
        await stage.apply(item_id, OLD)
    running = asyncio.create_task(stage.swap.run())
    yield stage
    shelf.gate.set()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    thread.shutdown()


async def test_nothing_happens_without_a_wish_nor_for_what_serves_already(stage: Stage) -> None:
    stage.swap.pin(pin_of(OLD))
    await asyncio.sleep(0)
    assert stage.shelf.loaded == []
    assert stage.swap.phase is Phase.SERVING


async def test_a_model_of_another_space_takes_over_when_the_last_item_has_its_vector(stage: Stage) -> None:
    before = stage.slots.current
    stage.swap.pin(pin_of(NEW))
    await stage.is_in(Phase.ENCODING)
    await until(lambda: bool(stage.renewals), "encoding is asked for", 10)
    for item_id in ITEMS[:-1]:
        await stage.apply(item_id, OLD, NEW)
    assert stage.slots.current is before
    assert stage.slots.next is not None
    assert stage.slots.next.live.lacking == 1
    await stage.apply(ITEMS[-1], OLD, NEW)
    await stage.outcome("taken_over")
    now = stage.slots.current
    assert now.model == pin_of(NEW)
    assert stage.slots.all == (now,)
    assert len(now.live) == len(now.scoring.recommender.catalogue) == len(ITEMS)
    info = stage.metrics.registry.get_sample_value
    assert info("intentstream_model_info", {"name": "m", "version": "2", "provider": NEW.provider}) == 1
    assert info("intentstream_model_info", {"name": "m", "version": "1", "provider": OLD.provider}) is None
    # Not loaded again to compare: what was asked of the shelf is one bundle.
    assert stage.shelf.loaded == [pin_of(NEW)]


async def test_the_vectors_of_the_model_before_serve_a_rollback_without_any_encoding(stage: Stage) -> None:
    for model in (NEW, OLD):
        for item_id in ITEMS:
            await stage.apply(item_id, OLD, NEW)
        stage.swap.pin(pin_of(model))
        await until(lambda model=model: stage.slots.current.model == pin_of(model), "it serves", 10)  # type: ignore[misc]
    await stage.outcome("taken_over", 2)
    assert stage.renewals == []


async def test_a_vector_may_have_another_length_in_the_new_space(stage: Stage) -> None:
    for item_id in ITEMS:
        await stage.apply(item_id, OLD, WIDER)
    stage.swap.pin(pin_of(WIDER))
    await stage.outcome("taken_over")
    assert stage.slots.current.scoring.recommender.catalogue.dim == WIDER.dim


async def is_known(stage: Stage, number: int) -> None:
    numbers = stage.maker.behaviour.numbers
    await until(lambda: len(numbers) == number, f"{number} items have a number, {len(numbers)} had", 10)


async def test_the_catalogue_before_releases_its_items_in_the_thread_behind_the_batches_that_began_with_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "RELEASED_AT_ONCE", 5)
    done, released = list[str](), list[bool]()
    old, close = stage.slots.current.scoring.recommender.catalogue, Catalogue.close

    def closing(catalogue: Catalogue, most: int | None = None) -> bool:
        released.append(catalogue is old and threading.current_thread() is thread)
        done.append("closed")
        return close(catalogue, most)

    monkeypatch.setattr(Catalogue, "close", closing)
    thread = stage.maker.thread.submit(threading.current_thread).result()
    await stage.apply("gone", OLD, NEW)
    await is_known(stage, len(ITEMS) + 1)
    for item_id in ITEMS:
        await stage.apply(item_id, OLD, NEW)
    take_over, gate = ServableSlots.take_over, threading.Event()

    def taking_over(slots: ServableSlots, servable: Servable) -> None:
        def batch() -> None:
            assert gate.wait(10)
            done.append("ranked")

        stage.maker.thread.submit(batch)
        take_over(slots, servable)

    monkeypatch.setattr(ServableSlots, "take_over", taking_over)
    stage.swap.pin(pin_of(NEW))
    await stage.outcome("taken_over")
    stage.slots.current.live.apply("gone", None)
    gate.set()
    await stage.slots.current.refresh()
    await is_known(stage, len(ITEMS))
    assert done == ["ranked", *["closed"] * 3]
    assert all(released)
    # A change that was under way adds the item, and holds no number.
    old.upsert(item_of("late"), np.zeros(DIM, dtype=np.int8))
    assert len(stage.maker.behaviour.numbers) == len(ITEMS)


@pytest.mark.parametrize("model", [NEW, SmallModel("6", "space-d", fails=True)])
async def test_a_catalogue_that_never_serves_releases_its_items(stage: Stage, model: SmallModel) -> None:
    stage.shelf.models[pin_of(model)] = model
    for item_id in ITEMS[: -1 if model is NEW else None]:
        await stage.apply(item_id, OLD, model)
    before = stage.slots.current.scoring.recommender.catalogue
    stage.swap.pin(pin_of(model))
    if model is NEW:
        await until(lambda: bool(stage.renewals), "encoding is asked for", 10)
        stage.swap.pin(pin_of(OLD))
        await stage.outcome("superseded")
    else:
        await stage.outcome("refused")
    await stage.slots.current.scoring.warm_up()
    for item_id in ITEMS:
        before.remove(item_id)
    await is_known(stage, 0)


async def test_a_ranker_in_the_same_space_takes_the_catalogue_as_it_is(stage: Stage) -> None:
    before = stage.slots.current
    stage.swap.pin(pin_of(RANKER))
    await stage.outcome("taken_over")
    now = stage.slots.current
    assert now.live is before.live
    assert now.scoring.recommender.catalogue is before.scoring.recommender.catalogue
    assert len(stage.maker.behaviour.numbers) == len(ITEMS)
    assert stage.renewals == []
    one, other = [
        each.scoring.recommender.recommend([Query(short_term=unit_vector("x"), k=3)])[0] for each in (before, now)
    ]
    assert [i.score + RANKER.shift for i in one.items] == pytest.approx([i.score for i in other.items], abs=1e-5)


async def test_a_refused_bundle_changes_nothing_is_logged_and_not_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    missing, before = ModelPin(name="m", version="99"), stage.slots.current
    stage.swap.pin(missing)
    await stage.outcome("refused")
    assert stage.slots.current is before
    assert "model m 99 is refused, m 1 keeps serving: scripted: not there" in caplog.text
    await stage.swap.scan_folder()
    assert stage.swap.wanted() is None
    # Its folder has changed, or it is pinned again: it may be complete by now.
    stage.shelf.marks[missing] = 1
    await stage.swap.scan_folder()
    await stage.outcome("refused", 2)
    stage.swap.pin(missing)
    await stage.outcome("refused", 3)
    assert stage.shelf.loaded == [missing] * 3


async def test_a_model_that_cannot_rank_the_catalogue_is_refused_in_its_warm_up(stage: Stage) -> None:
    broken = SmallModel("5", "space-a", fails=True)
    stage.shelf.models[pin_of(broken)] = broken
    stage.swap.pin(pin_of(broken))
    await stage.outcome("refused")
    assert stage.slots.current.model == pin_of(OLD)


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.ENCODING])
async def test_another_wanted_model_cancels_the_change_under_way(stage: Stage, phase: Phase) -> None:
    if phase is Phase.LOADING:
        stage.shelf.gate.clear()
    stage.swap.pin(pin_of(NEW))
    await stage.is_in(phase)
    stage.swap.pin(pin_of(OLD))
    await stage.outcome("superseded")
    stage.shelf.gate.set()
    assert (stage.slots.current.model, stage.slots.next) == (pin_of(OLD), None)
    stage.swap.pin(pin_of(RANKER))
    await stage.outcome("taken_over")


async def test_items_that_come_change_and_go_meanwhile_are_in_the_new_catalogue_as_they_are(stage: Stage) -> None:
    stage.swap.pin(pin_of(NEW))
    await stage.is_in(Phase.ENCODING)
    for servable in stage.slots.all:
        servable.live.apply(ITEMS[0], None, 0)
    await stage.apply("late", OLD, NEW)
    for item_id in ITEMS[1:]:
        await stage.apply(item_id, OLD, NEW)
    await stage.outcome("taken_over")
    catalogue = stage.slots.current.scoring.recommender.catalogue
    held = {item_id for item_id in [*ITEMS, "late"] if stable_key(item_id) in catalogue}
    assert held == {*ITEMS[1:], "late"}


async def test_what_trends_and_the_labels_are_there_when_a_model_takes_over(stage: Stage) -> None:
    stage.popularity = Popularity(Shares.of({stable_key("i3"): 1.0}))
    for item_id in ITEMS:
        await stage.apply(item_id, OLD, NEW)
    labels = {key: stage.slots.current.live.label(key) for key in stage.slots.current.live._labels}
    stage.swap.pin(pin_of(NEW))
    await stage.outcome("taken_over")
    now = stage.slots.current
    row = now.scoring.recommender.catalogue.row(stable_key("i3"))
    assert now.scoring.recommender.catalogue.columns.popularity[row] == 1.0
    assert {key: now.live.label(key) for key in labels} == labels


async def test_a_pin_goes_before_the_folder_and_without_it_the_folder_before_the_settings(stage: Stage) -> None:
    swap, shelf = stage.swap, stage.shelf
    swap.serves_newest = True
    shelf.newest_one = pin_of(RANKER)
    swap.pin(pin_of(OLD))
    await swap.scan_folder()
    assert swap.wanted() is None
    swap.pin(None)
    await until(lambda: stage.slots.current.model == pin_of(RANKER), "the newest serves", 10)
    await stage.is_in(Phase.SERVING)
    shelf.newest_one = None
    await swap.scan_folder()
    await until(lambda: stage.slots.current.model == pin_of(OLD), "what the settings name serves", 10)


async def test_a_model_that_serves_no_longer_leaves_no_memory_behind(stage: Stage) -> None:
    gone = weakref.ref(stage.slots.current.scoring.recommender.catalogue.columns.vectors)
    for item_id in ITEMS:
        await stage.apply(item_id, OLD, NEW)
    stage.slots.current.scoring.recommender.recommend([Query(short_term=unit_vector("x"), k=3)])
    gc.disable()
    try:
        stage.swap.pin(pin_of(NEW))
        await stage.outcome("taken_over")
        await until(lambda: gone() is None, "the old arrays are freed by reference counting alone", 10)
    finally:
        gc.enable()
