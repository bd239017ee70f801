"""A model change under load: every event gets one list of one model, without fallbacks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pytest

from inference.bundle import Bundle, load_bundle
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Recommendations, Search
from streams.contracts.serde import decode_item_vector
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import Settings
from tests.bundles import change_ranker, copy_bundle, damage_encoder, permute_encoder
from tests.conftest import BUNDLE
from tests.integration.catalogue_items import QUERIES, catalogue
from tests.integration.commands import run
from tests.integration.load import LoadGenerator
from tests.integration.shop_client import ShopClient
from tests.integration.topic_contents import compacted_state, read_all
from tests.integration.workers import Group, WorkerProcess, until, worker, worker_settings
from tests.malformed_bundles import DAMAGES

NAME = BUNDLE.parent.name
CONFIGURED = BUNDLE.name
OTHER_SPACE, DAMAGED, OTHER_RANKER = "2", "3", "4"
SWAPS = 'intentstream_model_swaps_total{{outcome="{}"}}'
TOLERANCE = 1e-4


class Versions:
    """Adds versions of the bundle to a model folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, version: str) -> Path:
        changes = {
            OTHER_SPACE: (permute_encoder, change_ranker),
            DAMAGED: (permute_encoder, damage_encoder),
            OTHER_RANKER: (change_ranker,),
        }[version]
        return copy_bundle(BUNDLE, self.folder / NAME / version, *changes)


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path / "models")


class ModelProbe:
    """Searches as new shoppers, whose lists only depend on the model."""

    def __init__(self, shop: ShopClient, *bundles: Bundle) -> None:
        self._shop = shop
        self._bundles = {bundle.version: bundle for bundle in bundles}
        self._number = 0

    async def wait_for_version(self, version: str) -> None:
        """Search until the lists are of this version."""

        async def is_served() -> bool:
            return (await self.search()).model.version == version

        await until(is_served, f"lists are of version {version}")

    async def search(self) -> Recommendations:
        """Search, and compare the list with that of the model in its message."""
        self._number += 1
        query = QUERIES[self._number % len(QUERIES)]
        search = Search(
            event_id=f"probe/{self._number}", user_id=f"guest-{self._number}", occurred_at=datetime.now(UTC),
            query=query,
        )  # fmt: skip
        answer = await self._shop.publish_and_wait(search)
        expected = self.expected[answer.model.version][query]
        assert answer.fallback is None
        scores = {item.item_id: item.score for item in answer.items}
        assert scores == pytest.approx({item.item_id: item.score for item in expected.items}, abs=TOLERANCE)
        return answer

    @cached_property
    def expected(self) -> Mapping[str, Mapping[str, Recommendations]]:
        """The list of each version for each search of a new shopper."""
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
    """Return the newest record of each item."""
    state = await compacted_state(settings, settings.topics.item_vectors)
    return [decode_item_vector(value) for values in state.values() for value in values.values()]


async def assert_one_list_of_the_models_in_order(shop: ShopClient, load: LoadGenerator, *models: str) -> None:
    """Assert that every event got one list, and that each partition used the models in this order."""
    await shop.wait_for_lists(load.sent)
    assert len(load.sent) > 20
    versions_by_partition: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for event in load.sent:
        (answer,) = shop.lists[event.event_id]
        assert answer.fallback is None
        partition = (answer.trigger.topic, answer.trigger.partition)
        versions_by_partition.setdefault(partition, []).append((answer.trigger.offset, answer.model.version))
    for answers in versions_by_partition.values():
        seen = [version for _, version in sorted(answers)]
        order = [version for position, version in enumerate(seen) if version != seen[position - 1] or not position]
        remaining = iter(models)
        assert all(version in remaining for version in order), order


async def test_a_model_can_be_pinned_rolled_back_and_refused_and_a_restart_keeps_the_pin(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, model_dir=versions.folder, model_watch_seconds=0.0)
    other = load_bundle(versions.add(OTHER_SPACE))
    versions.add(DAMAGED)
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "one") as one:
        await shop.publish_items(catalogue())
        await one.wait_for_items(len(catalogue()))
        probe = ModelProbe(shop, bundle, other)
        async with LoadGenerator.running(shop, pause_seconds=0.02, only=Search) as load:
            await probe.wait_for_version(CONFIGURED)
            await pin(settings, OTHER_SPACE)
            await probe.wait_for_version(OTHER_SPACE)
            assert all(set(r.vectors) == {bundle.vector_space, other.vector_space} for r in await records(settings))
            written = len(await read_all(settings, settings.topics.item_vectors))

            await pin(settings, CONFIGURED)
            await probe.wait_for_version(CONFIGURED)
            await pin(settings, DAMAGED)
            await one.wait_for_metric(SWAPS.format("refused"), 1)
            assert (await probe.search()).model.version == CONFIGURED
            assert "the manifest requires sha256" in one.log

            await pin(settings, OTHER_SPACE)
            await probe.wait_for_version(OTHER_SPACE)
            assert len(await read_all(settings, settings.topics.item_vectors)) == written
        await assert_one_list_of_the_models_in_order(shop, load, CONFIGURED, OTHER_SPACE, CONFIGURED, OTHER_SPACE)
        assert await one.metric(SWAPS.format("taken_over")) == 3
        info = 'intentstream_model_info{{name="{}",provider="CPUExecutionProvider",version="{}"}}'
        assert await one.metric(info.format(NAME, OTHER_SPACE)) == 1
        assert await one.metric(info.format(NAME, CONFIGURED)) != 1
        assert await one.stop() == 0

        one.start()
        await one.wait_until_ready()
        assert f"model {NAME} {OTHER_SPACE} on" in one.log
        assert (await probe.search()).model.version == OTHER_SPACE
        assert await one.stop() == 0


@pytest.mark.kafka
async def test_two_workers_encode_the_items_of_their_partitions_and_both_change_the_model(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, model_dir=versions.folder, model_watch_seconds=0.0)
    other = load_bundle(versions.add(OTHER_SPACE))
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "one") as one:
        await shop.publish_items(catalogue())
        await one.wait_for_items(len(catalogue()))
        async with worker(settings, tmp_path / "two") as two:
            await two.wait_for_items(len(catalogue()))
            await Group(settings).wait_for_members(2)
            async with LoadGenerator.running(shop, pause_seconds=0.02, only=Search) as load:
                await pin(settings, OTHER_SPACE)
                for each in (one, two):
                    await each.wait_for_metric(SWAPS.format("taken_over"), 1)
                probe = ModelProbe(shop, bundle, other)
                await probe.wait_for_version(OTHER_SPACE)
            await assert_one_list_of_the_models_in_order(shop, load, CONFIGURED, OTHER_SPACE)
            expected = {record.item.item_id: record.vector for record in encode_catalogue(other, catalogue())}
            assert {r.item.item_id: r.vector_in(other.vector_space) for r in await records(settings)} == expected
            # Each item was encoded by one worker only.
            assert len(await read_all(settings, settings.topics.item_vectors)) == 2 * len(catalogue())
            assert await two.stop() == 0
        assert await one.stop() == 0


@pytest.mark.kafka
async def test_a_newer_version_is_loaded_once_complete_and_a_new_ranker_encodes_nothing(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, model_dir=versions.folder, model_watch_seconds=0.1)
    reranking = load_bundle(versions.add(OTHER_RANKER))
    complete = (versions.folder / NAME / OTHER_RANKER).rename(tmp_path / "aside")
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "one") as one:
        await shop.publish_items(catalogue())
        await one.wait_for_items(len(catalogue()))
        probe = ModelProbe(shop, bundle, reranking)
        part = versions.folder / NAME / OTHER_RANKER
        part.mkdir()
        for path in complete.iterdir():
            if path.name != "ranker.onnx":
                shutil.copy(path, part)
        assert (await probe.search()).model.version == CONFIGURED
        shutil.copy(complete / "ranker.onnx", part)
        await probe.wait_for_version(OTHER_RANKER)
        assert "refused" not in one.log
        assert len(await read_all(settings, settings.topics.item_vectors)) == len(catalogue())
        assert await one.stop() == 0


@pytest.mark.kafka
async def test_a_worker_serves_the_configured_model_until_the_pinned_bundle_exists(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    settings = worker_settings(kafka, request.node.name, model_dir=versions.folder, model_watch_seconds=0.1)
    one = WorkerProcess(settings, tmp_path / "one")
    async with ShopClient.connected(settings) as shop:
        await pin(settings, OTHER_SPACE)
        try:
            one.start()
            await one.wait_until_ready()
            await shop.publish_items(catalogue())
            await one.wait_for_items(len(catalogue()))
            missing = f"model {NAME} {OTHER_SPACE} cannot be loaded, starting with INTENTSTREAM_MODEL_PATH: "
            assert missing in one.log
            await one.wait_for_metric(SWAPS.format("refused"), 1)
            other = load_bundle(versions.add(OTHER_SPACE))
            await ModelProbe(shop, bundle, other).wait_for_version(OTHER_SPACE)
            assert await one.stop() == 0
        finally:
            one.close()


@pytest.mark.kafka
async def test_no_malformed_candidate_ends_what_serves(
    kafka: str, request: pytest.FixtureRequest, bundle: Bundle, versions: Versions, tmp_path: Path
) -> None:
    """A pinned bundle with anything wrong in it is refused by a worker that serves, and by one that starts."""
    settings = worker_settings(kafka, request.node.name, model_dir=versions.folder, model_watch_seconds=0.1)
    names = (
        "a name that is not UTF-8", "deep nesting", "a folder as a file", "a pipe as a file",
        "a link out of the bundle", "a truncated graph", "external data", "a tokenizer that panics on a text",
    )  # fmt: skip
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path / "one") as one:
        await shop.publish_items(catalogue())
        await one.wait_for_items(len(catalogue()))
        probe = ModelProbe(shop, bundle)
        for number, name in enumerate(names, start=1):
            version = str(100 + number)
            DAMAGES[name](copy_bundle(BUNDLE, versions.folder / NAME / version))
            await pin(settings, version)
            await one.wait_for_metric(SWAPS.format("refused"), number)
            assert f"model {NAME} {version} is refused, {NAME} {CONFIGURED} keeps serving: " in one.log
            assert (await probe.search()).model.version == CONFIGURED
        assert await one.stop() == 0
        one.start()
        await one.wait_until_ready()
        assert f"model {NAME} {version} cannot be loaded, starting with INTENTSTREAM_MODEL_PATH: " in one.log
        assert (await probe.search()).model.version == CONFIGURED
        assert await one.stop() == 0
        assert "Traceback" not in one.log
