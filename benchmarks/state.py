"""Memory by the number of shoppers, and recovery: from the changelog into an empty directory, and a warm restart."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.figures import kibibytes, mebibytes
from benchmarks.process import Process
from benchmarks.report import Section, Table
from benchmarks.stage import Counter, Record, Stage
from streams.contracts.serde import decode_interaction
from streams.kafka.topics import changelog_topic
from streams.replay import Replay, for_long_logs
from streams.settings import Settings, load_settings

TIMEOUT_S = 300.0
ACTIONS_EACH = 300
"""Actions of a shopper, after which a profile has its full size."""

MEMORY_HOW = """\
A new worker reads full profiles from the changelog into an empty directory. RSS and PSS are measured then, and again,
"serving", after {events:,} more events. The profiles are those of {different} shoppers after {actions} actions each,
repeated for the other shoppers. RSS counts shared libraries in full. PSS divides them by the processes that share
them."""
RECOVERY_HOW = """\
Recovery lasts from the assignment of partitions to the end of Faust's recovery, as the worker reports them. Cold: into
an empty directory. Warm: the same worker, stopped by SIGTERM and started again on its directory."""


@dataclass(frozen=True, slots=True)
class State:
    """The figures for a number of shoppers and of items. Sizes in bytes, durations in seconds."""

    shoppers: int
    items: int
    profile_bytes: float
    recovered: tuple[int, int]
    served: tuple[int, int]
    disk: int
    cold_s: float
    warm_s: float
    start_s: float
    stop_s: float


def measure(stage: Stage) -> Section:
    """Measure each number of shoppers on a new worker, and the largest one also with the large catalogue."""
    sizes = stage.sizes
    stage.progress("making full profiles")
    profiles = full_profiles(stage)
    states = [_measure(stage, profiles, shoppers) for shoppers in (0, *sizes.profiles)]
    states.append(_measure(stage, profiles, max(sizes.profiles), sizes.large_catalogue))
    how = MEMORY_HOW.format(events=sizes.profile_events, different=sizes.different_profiles, actions=ACTIONS_EACH)
    memory = (
        "shoppers", "items", "RSS", "PSS", "RSS, serving", "PSS, serving", "profile", "disk", "disk per shopper",
    )  # fmt: skip
    recovery = ("shoppers", "items", "cold s", "profiles/s", "warm s", "stop s", "start to serving, warm s")
    return Section(
        title="Memory and recovery",
        how=f"{how}\n\n{RECOVERY_HOW}",
        tables=(
            Table(memory, tuple(map(_memory_row, states))),
            Table(recovery, tuple(map(_recovery_row, states))),
        ),
        data={
            f"{state.shoppers} shoppers, {state.items} items": {name: getattr(state, name) for name in State.__slots__}
            for state in states
        },
    )


def _measure(stage: Stage, profiles: Sequence[bytes], shoppers: int, items: int | None = None) -> State:
    stage.progress(f"memory and recovery with {shoppers:,} shoppers: writing the changelog")
    settings = stage.settings("state")
    stage.publish_catalogue(settings, items)
    sizes: list[int] = []
    stage.publish(_counted(changelog(settings, profiles, shoppers, stage.sizes.seed), sizes))
    stage.progress(f"memory and recovery with {shoppers:,} shoppers: recovering")
    with stage.worker("ours", settings) as worker:
        cold_s, _ = _started(worker)
        recovered = worker.memory()
        _serve(stage, settings, worker, max(shoppers, 1))
        served, stopped_at = worker.memory(), time.monotonic()
    stop_s = time.monotonic() - stopped_at
    with stage.worker("ours", settings) as worker:
        warm_s, start_s = _started(worker)
    disk = sum(file.stat().st_size for file in Path(settings.state.data_dir, "profiles").rglob("*") if file.is_file())
    profile_bytes = sum(sizes) / max(len(sizes), 1)
    number = items or stage.sizes.catalogue
    return State(shoppers, number, profile_bytes, recovered, served, disk, cold_s, warm_s, start_s, stop_s)


def _started(worker: Process) -> tuple[float, float]:
    """Wait until the worker serves. Return the seconds of recovery, and of the whole start."""
    recovered, ready = worker.wait_for("recovered", TIMEOUT_S), worker.wait_for("ready", TIMEOUT_S)
    return recovered - worker.wait_for("assigned", TIMEOUT_S), max(recovered, ready) - worker.started_at


def _serve(stage: Stage, settings: Settings, worker: Process, shoppers: int) -> None:
    count, seed = stage.sizes.profile_events, stage.sizes.seed
    stage.publish_events(settings, stage.shop.events(count, shoppers=shoppers, searches=0.0, seed=seed))
    Counter(stage, settings, settings.topics.recommendations).wait(count, worker, TIMEOUT_S)


def full_profiles(stage: Stage) -> list[bytes]:
    """Return the stored bytes of shoppers with many actions, made by the code of the service."""
    sizes = stage.sizes
    count, shoppers = sizes.different_profiles * ACTIONS_EACH, sizes.different_profiles
    sent = stage.shop.events(count, shoppers=shoppers, searches=sizes.searches, seed=sizes.seed)
    replay = Replay(for_long_logs(load_settings(env_file=None)), stage.bundle, stage.records)
    replay.learn(decode_interaction(event.key, event.value) for event in sent)
    return list(replay.profiles.values())


def changelog(settings: Settings, profiles: Sequence[bytes], shoppers: int, seed: int) -> Iterator[Record]:
    """Yield one of the profiles for each shopper. A replay's topics differ, so a worker ignores its offsets in them."""
    topic = changelog_topic(settings)
    # Chosen at random: equal profiles next to each other would compress.
    chosen = np.random.default_rng(seed).integers(len(profiles), size=shoppers).tolist()
    for number, place in enumerate(chosen):
        yield topic, f"shopper-{number}".encode(), profiles[place]


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
    return (f"{state.shoppers:,}", f"{state.items:,}", *map(mebibytes, sizes), *profile)


def _recovery_row(state: State) -> tuple[str, ...]:
    rate = f"{state.shoppers / state.cold_s:,.0f}" if state.shoppers else ""
    return (
        f"{state.shoppers:,}", f"{state.items:,}", f"{state.cold_s:.2f}", rate, f"{state.warm_s:.2f}",
        f"{state.stop_s:.2f}", f"{state.start_s:.2f}",
    )  # fmt: skip
