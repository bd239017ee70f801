"""Suggestions of a worker: built in another process from what its catalogue and its shoppers' searches have."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inference.retrieval.vectors import quantise
from inference.types import Item, ItemNeighbours, stable_key
from streams.contracts.internal import ItemVector
from streams.suggestions import keeper as module
from streams.suggestions.keeper import SuggestionKeeper, parts_of
from streams.suggestions.process import BuildError, build
from tests.integration.workers import until
from tests.streams.http.service import HttpHarness
from tests.streams.shoppers import unit_vector

TIMEOUT_S = 60.0


@pytest.fixture
def harness() -> HttpHarness:
    return HttpHarness()


def keeper_of(harness: HttpHarness, **fields: object) -> SuggestionKeeper:
    return SuggestionKeeper(
        **{  # type: ignore[arg-type]
            "slots": harness.maker.slots,
            "clicked": harness.behaviour.clicked,
            "metrics": harness.metrics,
            "health": harness.health,
            "interval_s": 3600.0,
            **fields,
        }
    )


async def sell(harness: HttpHarness, *items: Item) -> None:
    for item in items:
        vector = quantise(unit_vector(item.item_id)).tobytes()
        harness.live.apply(item.item_id, ItemVector(item=item, space="m/1", text_hash=1, vector=vector))
    await harness.scoring.update(harness.live.take_changes())


def searched(harness: HttpHarness, **led_to: tuple[str, ...]) -> None:
    """Remember the searches that led to items."""
    harness.behaviour.clicked.learn(
        [
            ItemNeighbours(key=stable_key(item), as_of_ms=0, weight=9.0, queries=dict.fromkeys(texts, 2.0))
            for item, texts in led_to.items()
        ]
    )


def texts(keeper: SuggestionKeeper, typed: str) -> list[str]:
    assert keeper.built is not None
    return [each.text for each in keeper.built.suggestions.complete(typed)]


async def built(harness: HttpHarness, **fields: object) -> SuggestionKeeper:
    """Run a keeper until it has tried to build once."""
    keeper, value = keeper_of(harness, **fields), harness.metrics.registry.get_sample_value
    running = asyncio.create_task(keeper.run())

    def tried() -> bool:
        return any(value("intentstream_suggestion_builds_total", {"outcome": each}) for each in ("built", "failed"))

    try:
        await until(tried, "a build has ended", TIMEOUT_S)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return keeper


async def test_searches_and_texts_of_the_catalogue_are_suggested(harness: HttpHarness) -> None:
    await sell(
        harness,
        Item(item_id="1", title="Green tea in bags", category=("Drinks", "Tea"), brand="Fjell", description="secret"),
        Item(item_id="2", title="Green tea, loose", category=("Drinks", "Tea"), attributes={"origin": "Japan"}),
        Item(item_id="3", title="Anorak", brand="Gone", in_stock=False),
    )
    private = ("jo@shop.example", "0301234567", "call +49 (30) 123-4567")
    searched(harness, **{"1": ("greek tea", *private), "3": ("gone",)})
    keeper = await built(harness)
    assert keeper.built is not None
    found = {each.text: each.kind for each in keeper.built.suggestions.complete("", 50)}
    assert found["greek tea"] == "query"
    assert (found["drinks"], found["fjell"], found["green tea"]) == ("category", "brand", "title")
    assert not {*private, "gone", "anorak", "secret"} & set(found)
    assert not any("@" in text or "123" in text for text in found)
    assert np.any(keeper.built.suggestions._embeddings.of(0)), "suggestions have vectors of their items"
    assert harness.metrics.registry.get_sample_value("intentstream_suggestions") == len(keeper.built.suggestions)


async def test_the_catalogue_is_copied_in_parts(harness: HttpHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART", 3)
    await sell(harness, *(Item(item_id=str(n), title=f"Tea {n}", in_stock=n != 4) for n in range(8)))
    parts = [part async for part in parts_of(harness.maker.slots.current)]
    assert [len(part.items) for part in parts] == [3, 2, 2]
    for part in parts:
        assert part.keys.tolist() == [stable_key(item.item_id) for item in part.items]
        assert np.array_equal(part.vectors, [quantise(unit_vector(item.item_id)) for item in part.items])


async def test_blocked_words_are_read_before_each_build(harness: HttpHarness, tmp_path: Path) -> None:
    await sell(harness, Item(item_id="1", title="x", category=("Tea",), brand="Rudeco"))
    searched(harness, **{"1": ("rudeco tea", "some tea")})
    blocked = tmp_path / "blocked.txt"
    blocked.write_text("# names\nrudeco\n")
    assert texts(await built(harness, blocked_file=blocked), "") == ["some tea", "tea"]


@pytest.mark.parametrize("cause", ["missing file", "failing process"])
async def test_a_failed_build_keeps_the_former_suggestions(
    harness: HttpHarness, cause: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await sell(harness, Item(item_id="1", title="x", category=("Tea",)))
    if cause == "failing process":
        monkeypatch.setattr("streams.suggestions.process.sys.executable", "false")
    keeper = await built(harness, blocked_file=tmp_path / "none.txt" if cause == "missing file" else None)
    assert keeper.built is None
    assert "the former ones stay" in caplog.text
    counted = harness.metrics.registry.get_sample_value
    assert counted("intentstream_suggestion_builds_total", {"outcome": "failed"}) == 1


async def test_a_process_that_ends_early_is_an_error(harness: HttpHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    await sell(harness, Item(item_id="1", title="x"))
    monkeypatch.setattr("streams.suggestions.process.sys.executable", "true")
    with pytest.raises(BuildError):
        await build(parts_of(harness.maker.slots.current), harness.behaviour.clicked.copy_records(), [])


@pytest.mark.parametrize("sent", [b"", pickle.dumps(([], [], b"vectors"))[:-4]], ids=["nothing", "part of a message"])
def test_a_process_whose_worker_has_ended_says_so_in_one_line(sent: bytes) -> None:
    command = [sys.executable, "-m", "streams.suggestions.process"]
    ended = subprocess.run(command, input=sent, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"the worker has ended\n")


def test_a_grown_catalogue_and_a_new_vector_space_do_not_wait_for_the_interval(harness: HttpHarness) -> None:
    keeper = keeper_of(harness)
    assert not keeper._is_due(9e9), "there are no items"
    item = Item(item_id="1", title="x")
    harness.live.apply("1", ItemVector(item=item, space="m/1", text_hash=1, vector=bytes(harness.live.dim)))
    assert keeper._is_due(3600.0)
    assert keeper._is_due(module.SOONEST_S), "nothing is built yet"
    harness.health.catalogue_read = False
    assert not keeper._is_due(3600.0), "the catalogue is still being read"
    harness.health.catalogue_read = True
    keeper.built = module.Built(object(), "m/1", 1)  # type: ignore[arg-type]
    assert not keeper._is_due(module.SOONEST_S)
    keeper.built = module.Built(object(), "former/1", 1)  # type: ignore[arg-type]
    assert keeper._is_due(module.SOONEST_S)
    keeper.built = module.Built(object(), "m/1", 0)  # type: ignore[arg-type]
    assert keeper._is_due(module.SOONEST_S)
    assert not keeper._is_due(module.SOONEST_S / 2)


async def test_a_cancelled_build_ends_its_process(harness: HttpHarness) -> None:
    await sell(harness, Item(item_id="1", title="x"))
    waits = asyncio.Event()

    async def endless() -> object:
        async for part in parts_of(harness.maker.slots.current):
            yield part
        waits.set()
        await asyncio.Event().wait()

    started: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def remember(*arguments: object, **options: object) -> asyncio.subprocess.Process:
        started.append(await create(*arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.create_subprocess_exec", remember)
        task = asyncio.create_task(build(endless(), harness.behaviour.clicked.copy_records(), []))  # type: ignore[arg-type]
        await asyncio.wait_for(waits.wait(), TIMEOUT_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert started[0].returncode is not None
