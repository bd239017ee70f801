"""A model change during traffic: every event has a list, every list is of one model, and there is no pause."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pytest

from inference.bundle import Bundle, load_bundle
from streams.contracts.messages import ItemVector, Recommendations, Search
from streams.contracts.serde import decode_item_vector
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import Settings
from tests.bundles import copied, damaged, reranked, turned
from tests.conftest import BUNDLE
from tests.integration.commands import run
from tests.integration.contents import latest, stored
from tests.integration.crowd import Crowd
from tests.integration.goods import QUERIES, catalogue
from tests.integration.shop import Shop
from tests.integration.workers import Group, WorkerProcess, serving, until, worker

NAME = BUNDLE.parent.name
HOME = BUNDLE.name
OTHER_SPACE, DAMAGED, OTHER_RANKER = "2", "3", "4"
SWAPS = 'intentstream_model_swaps_total{{outcome="{}"}}'
TOLERANCE = 1e-4


class Versions:
    """The bundles of these tests: in a folder to which they are copied when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, version: str) -> Path:
        changes = {OTHER_SPACE: (turned, reranked), DAMAGED: (turned, damaged), OTHER_RANKER: (reranked,)}[version]
        return copied(BUNDLE, self.folder / NAME / version, *changes)


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "models")


class Window:
    """Shoppers who come once, search and go: what they get depends on nothing but the model."""

    def __init__(self, shop: Shop, *bundles: Bundle) -> None:
        self._shop = shop
        self._bundles = {bundle.version: bundle for bundle in bundles}
        self._number = 0

    async def shows(self, version: str) -> None:
        """Search until the lists are of this version."""

        async def holds() -> bool:
            return (await self.look()).model.version == version

        await until(holds, f"lists are of version {version}")

    async def look(self) -> Recommendations:
        """Search, and check that the list is what the model that it names makes of the search."""
        self._number += 1
        query = QUERIES[self._number % len(QUERIES)]
        search = Search(
            event_id=f"window/{self._number}", user_id=f"guest-{self._number}", occurred_at=datetime.now(UTC),
            query=query,
        )  # fmt: skip
        answer = await self._shop.answer(search)
        expected = self.expected[answer.model.version][query]
        assert answer.fallback is None
        scores = {item.item_id: item.score for item in answer.items}
        assert scores == pytest.approx({item.item_id: item.score for item in expected.items}, abs=TOLERANCE)
        return answer

    @cached_property
    def expected(self) -> Mapping[str, Mapping[str, Recommendations]]:
        """Each version's list for each search of a shopper of whom nothing is known."""
        return {version: self._lists(bundle) for version, bundle in self._bundles.items()}

    def _lists(self, bundle: Bundle) -> Mapping[str, Recommendations]:
        replay = Replay(self._shop.settings, bundle, encode_catalogue(bundle, catalogue()))
        now = datetime.now(UTC)
        searches = [Search(event_id=query, user_id=query, occurred_at=now, query=query) for query in QUERIES]
        return {answer.user_id: answer for answer in replay.recommend(searches)}


async def pin(settings: Settings, version: str) -> None:
    result = await run(settings, "model", "use", NAME, version)
    assert result.exit_code == 0, result.output


async def records(settings: Settings) -> list[ItemVector]:
    """Return every item's newest record."""
    state = await latest(settings, settings.topics.item_vectors)
    return [decode_item_vector(value) for values in state.values() for value in values.values()]


async def assert_answered_by_one_model_after_the_other(shop: Shop, crowd: Crowd, *models: str) -> None:
    """Fail unless every event was answered once, by a model, and each partition's lists went through these in order."""
    await shop.answered(crowd.sent)
    assert len(crowd.sent) > 20
    turns: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for event in crowd.sent:
        (answer,) = shop.answers[event.event_id]
        assert answer.fallback is None
        place = (answer.trigger.topic, answer.trigger.partition)
        turns.setdefault(place, []).append((answer.trigger.offset, answer.model.version))
    for answers in turns.values():
        seen = [version for _, version in sorted(answers)]
        order = [version for place, version in enumerate(seen) if version != seen[place - 1] or not place]
        remaining = iter(models)
        assert all(version in remaining for version in order), order


async def test_a_model_is_pinned_rolled_back_refused_and_found_again_by_a_restart(
    broker: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    settings = serving(broker, request.node.name, model_dir=versions.folder, model_watch_seconds=0.0)
    other = load_bundle(versions.add(OTHER_SPACE))
    versions.add(DAMAGED)
    async with Shop.opened(settings) as shop, worker(settings, tmp_path / "one") as one:
        await shop.stock(catalogue())
        await one.knows(len(catalogue()))
        window = Window(shop, bundle, other)
        async with Crowd.acting(shop, pause_seconds=0.02, only=Search) as crowd:
            await window.shows(HOME)
            await pin(settings, OTHER_SPACE)
            await window.shows(OTHER_SPACE)
            assert all(set(r.vectors) == {bundle.vector_space, other.vector_space} for r in await records(settings))
            written = len(await stored(settings, settings.topics.item_vectors))

            await pin(settings, HOME)
            await window.shows(HOME)
            await pin(settings, DAMAGED)
            await one.shows(SWAPS.format("refused"), 1)
            assert (await window.look()).model.version == HOME
            assert "the manifest requires sha256" in one.log

            await pin(settings, OTHER_SPACE)
            await window.shows(OTHER_SPACE)
            assert len(await stored(settings, settings.topics.item_vectors)) == written
        await assert_answered_by_one_model_after_the_other(shop, crowd, HOME, OTHER_SPACE, HOME, OTHER_SPACE)
        assert await one.metric(SWAPS.format("taken_over")) == 3
        info = 'intentstream_model_info{{name="{}",provider="CPUExecutionProvider",version="{}"}}'
        assert await one.metric(info.format(NAME, OTHER_SPACE)) == 1
        assert await one.metric(info.format(NAME, HOME)) != 1
        assert await one.stop() == 0

        one.start()
        await one.ready()
        assert f"model {NAME} {OTHER_SPACE} on" in one.log
        assert (await window.look()).model.version == OTHER_SPACE
        assert await one.stop() == 0


@pytest.mark.kafka
async def test_two_workers_each_encode_their_own_and_both_take_over(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name, model_dir=versions.folder, model_watch_seconds=0.0)
    other = load_bundle(versions.add(OTHER_SPACE))
    async with Shop.opened(settings) as shop, worker(settings, tmp_path / "one") as one:
        await shop.stock(catalogue())
        await one.knows(len(catalogue()))
        async with worker(settings, tmp_path / "two") as two:
            await two.knows(len(catalogue()))
            await Group(settings).of(2)
            async with Crowd.acting(shop, pause_seconds=0.02, only=Search) as crowd:
                await pin(settings, OTHER_SPACE)
                for each in (one, two):
                    await each.shows(SWAPS.format("taken_over"), 1)
                window = Window(shop, bundle, other)
                await window.shows(OTHER_SPACE)
            await assert_answered_by_one_model_after_the_other(shop, crowd, HOME, OTHER_SPACE)
            expected = {record.item.item_id: record.vector for record in encode_catalogue(other, catalogue())}
            assert {r.item.item_id: r.vector_in(other.vector_space) for r in await records(settings)} == expected
            # Nobody encoded what another one owns.
            assert len(await stored(settings, settings.topics.item_vectors)) == 2 * len(catalogue())
            assert await two.stop() == 0
        assert await one.stop() == 0


@pytest.mark.kafka
async def test_a_newer_version_in_the_folder_is_taken_once_it_is_complete_and_a_ranker_alone_encodes_nothing(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name, model_dir=versions.folder, model_watch_seconds=0.1)
    reranking = load_bundle(versions.add(OTHER_RANKER))
    complete = (versions.folder / NAME / OTHER_RANKER).rename(tmp_path / "aside")
    async with Shop.opened(settings) as shop, worker(settings, tmp_path / "one") as one:
        await shop.stock(catalogue())
        await one.knows(len(catalogue()))
        window = Window(shop, bundle, reranking)
        part = versions.folder / NAME / OTHER_RANKER
        part.mkdir()
        for path in complete.iterdir():
            if path.name != "ranker.onnx":
                shutil.copy(path, part)
        assert (await window.look()).model.version == HOME
        shutil.copy(complete / "ranker.onnx", part)
        await window.shows(OTHER_RANKER)
        assert "refused" not in one.log
        assert len(await stored(settings, settings.topics.item_vectors)) == len(catalogue())
        assert await one.stop() == 0


@pytest.mark.kafka
async def test_a_worker_whose_pinned_bundle_is_missing_says_so_and_serves_with_its_own_until_it_is_there(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    settings = serving(kafka, request.node.name, model_dir=versions.folder, model_watch_seconds=0.1)
    one = WorkerProcess(settings, tmp_path / "one")
    async with Shop.opened(settings) as shop:
        await pin(settings, OTHER_SPACE)
        try:
            one.start()
            await one.ready()
            await shop.stock(catalogue())
            await one.knows(len(catalogue()))
            missing = f"model {NAME} {OTHER_SPACE} cannot be loaded, starting with INTENTSTREAM_MODEL_PATH: "
            assert missing in one.log
            await one.shows(SWAPS.format("refused"), 1)
            other = load_bundle(versions.add(OTHER_SPACE))
            await Window(shop, bundle, other).shows(OTHER_SPACE)
            assert await one.stop() == 0
        finally:
            one.close()
