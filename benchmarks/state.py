"""Memory by the number of shoppers, and recovery: from the changelog into an empty directory, and a warm restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.figures import kibibytes, mebibytes
from benchmarks.process import Process
from benchmarks.report import Section, Table
from benchmarks.shop import ACTIONS, Shop
from benchmarks.stage import Counter, Record, Stage
from inference.types import label_key, stable_key
from streams.kafka.topics import changelog_topic
from streams.profiles import codec
from streams.profiles.habits import HABIT, HABITS
from streams.profiles.profile import AFFINITIES, AFFINITY, RECENT, RECENT_ITEMS, Position, empty
from streams.settings import Settings

TIMEOUT_S = 300.0

MEMORY_HOW = """\
Full profiles (384 dimensions, {recent} recent items, {labels} categories) on the changelog, read by a new
worker into an empty directory; the first column after that is what it holds then, the second after {events:,}
more events. The catalogue has {items:,} items. RSS counts shared libraries in full, PSS by the processes that
share them."""
RECOVERY_HOW = """\
From the assignment of partitions to the end of Faust's recovery, by the worker's own word. Cold: into an empty
directory. Warm: the same worker stopped by SIGTERM and started again on its directory."""


@dataclass(frozen=True, slots=True)
class State:
    """What was measured with a number of shoppers. Sizes in bytes, durations in seconds."""

    shoppers: int
    profile_bytes: float
    recovered: tuple[int, int]
    served: tuple[int, int]
    disk: int
    cold_s: float
    warm_s: float
    start_s: float
    stop_s: float


def measure(stage: Stage) -> Section:
    """Measure each number of shoppers on a worker of its own."""
    states = [_measure(stage, shoppers) for shoppers in (0, *stage.sizes.profiles)]
    sizes = stage.sizes
    how = MEMORY_HOW.format(recent=RECENT_ITEMS, labels=AFFINITIES, events=sizes.profile_events, items=sizes.catalogue)
    memory = ("shoppers", "RSS", "PSS", "RSS, serving", "PSS, serving", "a profile", "on disk", "on disk a profile")
    recovery = ("shoppers", "cold s", "profiles/s", "warm s", "stop s", "start to serving, warm s")
    return Section(
        title="Memory and recovery",
        how=f"{how}\n\n{RECOVERY_HOW}",
        tables=(
            Table(memory, tuple(map(_memory_row, states))),
            Table(recovery, tuple(map(_recovery_row, states))),
        ),
        data={str(state.shoppers): {name: getattr(state, name) for name in State.__slots__} for state in states},
    )


def _measure(stage: Stage, shoppers: int) -> State:
    stage.progress(f"memory and recovery with {shoppers:,} shoppers: writing the changelog")
    settings = stage.settings("state")
    stage.publish_catalogue(settings)
    sizes: list[int] = []
    stage.publish(_counted(changelog(settings, stage.shop, shoppers, stage.sizes.seed), sizes))
    stage.progress(f"memory and recovery with {shoppers:,} shoppers: recovering")
    with stage.worker("ours", settings) as worker:
        cold_s, _ = _started(worker)
        recovered = worker.memory()
        _serve(stage, settings, worker, max(shoppers, 1))
        served, stopped_at = worker.memory(), time.monotonic()
    stop_s = time.monotonic() - stopped_at
    with stage.worker("ours", settings) as worker:
        warm_s, start_s = _started(worker)
    disk = sum(file.stat().st_size for file in Path(settings.data_dir, "profiles").rglob("*") if file.is_file())
    profile_bytes = sum(sizes) / max(len(sizes), 1)
    return State(shoppers, profile_bytes, recovered, served, disk, cold_s, warm_s, start_s, stop_s)


def _started(worker: Process) -> tuple[float, float]:
    """Wait until it serves; return the seconds of recovery, and of the whole start."""
    recovered, ready = worker.wait_for("recovered", TIMEOUT_S), worker.wait_for("ready", TIMEOUT_S)
    return recovered - worker.wait_for("assigned", TIMEOUT_S), max(recovered, ready) - worker.started_at


def _serve(stage: Stage, settings: Settings, worker: Process, shoppers: int) -> None:
    count, seed = stage.sizes.profile_events, stage.sizes.seed
    stage.publish_events(settings, stage.shop.events(count, shoppers=shoppers, searches=0.0, seed=seed))
    Counter(stage, settings, settings.recommendations_topic).wait(count, worker, TIMEOUT_S)


def changelog(settings: Settings, shop: Shop, shoppers: int, seed: int) -> Iterator[Record]:
    """Make full profiles of shoppers of whom each has acted on many items. Vectors are random: they do not compress."""
    rng = np.random.default_rng(seed)
    topic, now_ms = changelog_topic(settings), int(time.time() * 1000)
    keys = np.array([stable_key(item.item_id) for item in shop.items], dtype=np.uint64)
    labels = np.array(sorted({label_key(item.label) for item in shop.items}), dtype=np.uint64)
    for number in range(shoppers):
        recent = np.zeros(RECENT_ITEMS, dtype=RECENT)
        recent["at_ms"] = now_ms - np.sort(rng.integers(1, 10**9, RECENT_ITEMS))
        recent["key"] = rng.choice(keys, RECENT_ITEMS, replace=False)
        recent["action"] = rng.integers(len(ACTIONS), size=RECENT_ITEMS)
        categories = np.zeros(AFFINITIES, dtype=AFFINITY)
        categories["key"] = rng.choice(labels, AFFINITIES, replace=False)
        categories["weight"] = np.sort(rng.random(AFFINITIES))[::-1]
        vectors = rng.standard_normal((2, 384), dtype=np.float32)
        positions = {stable_key(settings.clicks_topic): Position(-1, 0)}
        habits = np.ones(HABITS, dtype=HABIT)
        habits["key"] = rng.choice(keys, HABITS)
        profile = replace(
            empty(384, 0),
            updated_ms=int(recent["at_ms"][0]),
            short_term=vectors[0],
            long_term=vectors[1],
            recent=recent,
            categories=categories,
            brands=categories[:2],
            positions=positions,
            habits=habits,
        )
        yield topic, f"shopper-{number}".encode(), codec.encode(profile)


def _counted(records: Iterator[Record], sizes: list[int]) -> Iterator[Record]:
    for record in records:
        sizes.append(len(record[2]))
        yield record


def _memory_row(state: State) -> tuple[str, ...]:
    sizes = (*state.recovered, *state.served)
    each = state.disk / max(state.shoppers, 1)
    profile = (
        (f"{state.profile_bytes:,.0f} B", mebibytes(state.disk), kibibytes(each)) if state.shoppers else ("", "", "")
    )
    return (f"{state.shoppers:,}", *map(mebibytes, sizes), *profile)


def _recovery_row(state: State) -> tuple[str, ...]:
    rate = f"{state.shoppers / state.cold_s:,.0f}" if state.shoppers else ""
    return (
        f"{state.shoppers:,}", f"{state.cold_s:.2f}", rate, f"{state.warm_s:.2f}", f"{state.stop_s:.2f}",
        f"{state.start_s:.2f}",
    )  # fmt: skip
