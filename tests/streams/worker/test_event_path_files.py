"""A click of a known shopper visits few files, and docs/architecture.md names them.

An engineer who follows one event opens these files. The test records the files whose functions run between the
checkpoint and the acknowledgement. Faust's consumer and the producer need brokers, so fakes take their places.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, cast

import faust
import pytest
from rocksdict import Cache

from inference.bundle import Bundle
from inference.retrieval.vectors import quantise
from inference.types import Item, ItemNeighbours, SessionItems, stable_key
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Interaction
from streams.factory import empty_behaviour, engine, pseudonyms, recommender
from streams.items.live import LiveCatalogue
from streams.scoring import Scoring, scorer_thread
from streams.serving.servable import Servable, ServableSlots
from streams.settings import load_settings
from streams.state.rocksdb import StoreOptions
from streams.state.table import StateTable
from streams.worker.profile_store import ProfileStore
from tests.integration.workers import until
from tests.streams.fakes import message_of
from tests.streams.shoppers import NOW_MS, act, search
from tests.streams.worker.event_harness import ITEMS, TIMEOUT_S, Harness

MOST_FILES = 41
"""Files that take part in the answer. Do not raise this for a helper: put it into a module that an event visits."""
OBSERVERS = frozenset(
    f"streams/{name}.py"
    for name in ("assets/collector", "exposure", "histogram", "metrics", "worker/asset_path", "worker/observations")
)
"""Files that measure events and change none."""
ROOT = Path(__file__).parents[3]
KERNELS = "kernels"
"""Name of folders and modules of compiled functions."""


class Visits:
    """Records the project's files whose functions run while `tracing`, in all threads that start later."""

    def __init__(self) -> None:
        self.files: dict[str, set[str]] = {}
        self._is_on = False

    @contextmanager
    def tracing(self) -> Iterator[None]:
        self._is_on = True
        yield
        self._is_on = False

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        if event != "call" or not self._is_on:
            return
        path = Path(frame.f_code.co_filename)
        for package in ("streams", "inference"):
            if path.is_relative_to(ROOT / package) and KERNELS not in (path.stem, path.parent.name):
                self.files.setdefault(str(path.relative_to(ROOT)), set()).add(frame.f_code.co_name)


@pytest.fixture
def visits() -> Iterator[Visits]:
    visits, before = Visits(), sys.getprofile()
    sys.setprofile(visits)
    threading.setprofile(visits)
    yield visits
    threading.setprofile(None)
    sys.setprofile(before)


@pytest.fixture
async def path(visits: Visits, bundle: Bundle, tmp_path: Path) -> AsyncIterator[Harness]:
    """Return an event path with the shipped model, a table on disk, learned behaviour and a fake producer."""
    harness, settings = Harness(), load_settings({"partitions": 2}, env_file=None)
    live, behaviour, keys = LiveCatalogue(bundle.vector_space, bundle.dim), empty_behaviour(settings), []
    titles = [f"{kind} number {number}" for number, kind in enumerate(["boots", "tent", "lamp"] * (len(ITEMS) // 3))]
    for number, (item_id, vector) in enumerate(zip(ITEMS, bundle.encode_items(titles), strict=True)):
        item = Item(item_id=item_id, title=titles[number], category=("Shop", f"c{number % 3}"), price=5.0 + number)
        record = ItemVector(item=item, space=bundle.vector_space, text_hash=1, vector=quantise(vector).tobytes())
        live.apply(item_id, record)
        keys.append(stable_key(item_id))
    behaviour.learn(learned(keys))
    scoring = Scoring(bundle, recommender(settings, bundle, behaviour), scorer_thread(1))
    scoring.recommender.catalogue.set_popularity({key: 1 / (1 + place) for place, key in enumerate(keys)})
    await scoring.update(live.take_changes())
    options = StoreOptions(tmp_path / "profiles", Cache(1 << 20), 1 << 20, damaged=int)
    app = faust.App("shop", store="memory://", datadir=str(tmp_path / "faust"))
    table = StateTable(app, name="profiles", partitions=2, options=options, producer=cast("Any", harness.producer))
    harness.path.slots = ServableSlots(Servable(bundle, live, engine(settings, bundle, live), scoring))
    harness.path.profiles = ProfileStore(table, pseudonyms(settings))
    harness.running = asyncio.create_task(harness.path.run())
    yield harness
    harness.running.cancel()
    await asyncio.gather(harness.running, return_exceptions=True)
    scoring.close()
    await table.data.stop()


def learned(keys: Sequence[int]) -> list[ItemNeighbours | SessionItems]:
    """Return co-occurrence of each item with the next ones, and sessions of neighbouring items."""
    pairs: list[ItemNeighbours | SessionItems] = [
        ItemNeighbours(key=key, as_of_ms=NOW_MS, weight=5.0, before=dict.fromkeys(keys[place + 1 : place + 4], 2.0))
        for place, key in enumerate(keys)
    ]
    sessions = [
        SessionItems(key=stable_key(f"session {place}"), at_ms=NOW_MS, items=tuple(keys[place : place + 4]))
        for place in range(len(keys) - 3)
    ]
    return pairs + sessions


async def process(path: Harness, interaction: Interaction, offset: int) -> None:
    """Process one event until it is acknowledged."""
    await path.submit(message_of(interaction, offset))
    await until(lambda: len(path.acknowledged) > offset or bool(path.errors), "its acknowledgement", TIMEOUT_S)


# Without compilation the kernels run as Python, and their helpers count as visited files. CI runs this test with it.
@pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="kernels would run as Python, in further files")
async def test_a_click_visits_few_files(path: Harness, visits: Visits) -> None:
    history = [
        act("view", "i1", NOW_MS - 5000),
        act("purchase", "i3", NOW_MS - 4000),
        search("warm boots", NOW_MS - 3000),
        act("click", "i0", NOW_MS - 2000),
    ]
    for offset, interaction in enumerate(history):
        await process(path, interaction, offset)
    with visits.tracing():
        await process(path, act("click", "i7"), len(history))
    assert path.errors == []
    assert path.produced()[-1].fallback is None
    assert {"streams/worker/event_path.py", "inference/pipeline.py"} < visits.files.keys()
    files = sorted(visits.files.keys() - OBSERVERS)
    listed = "\n".join(f"{file}: {', '.join(sorted(visits.files[file]))}" for file in files)
    assert len(files) <= MOST_FILES, f"required at most {MOST_FILES} files, an event visits {len(files)}:\n{listed}"
    chapter = (ROOT / "docs" / "architecture.md").read_text().partition("## Event path")[2].partition("## Threads")[0]
    unnamed = [file for file in visits.files if f"`{file.partition('/')[2]}`" not in chapter]
    assert unnamed == [], "docs/architecture.md: the event path does not name these files"
