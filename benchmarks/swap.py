"""The cost of a model change under load: the event loop's largest lag, the latency, and the duration.

The second bundle is the shipped one with its dimensions in another order. It costs the same, and has another vector
space.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass

import numpy as np

from benchmarks import load
from benchmarks.figures import percentile
from benchmarks.process import Process
from benchmarks.report import Section, Table
from benchmarks.schedule import Schedule
from benchmarks.stage import Stage
from streams.contracts.messages import ModelPin
from streams.serving.pins import pin_model
from streams.settings import Settings
from tests.bundles import copy_bundle, permute_encoder

READY_S, SWAP_S = 60.0, 600.0
BEFORE_S, BETWEEN_S = 15.0, 5.0
VERSION = "swapped"
LAG_EMITTED_S = 0.25
LAG, TAKEN_OVER = "lag", "taken over"
HOW = """\
One worker serves {rate:g} events/s with the real model and {items:,} items. A bundle of another vector space is pinned.
When it has taken over, the old one is pinned again; its vectors are still stored. A task of the worker's event loop
sleeps for two milliseconds repeatedly. "Lag" is the largest delay of its wake-up. "Busy" is the most CPU time that the
worker itself used in such a delay; in the rest, other processes had the cores. Latency is end to end, for the events
that were due in the period."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A period of the run, from and to in seconds of the shared clock."""

    name: str
    start: float
    end: float


def measure(stage: Stage) -> Section:
    """Change the model and change it back under load."""
    home = stage.bundle
    models = stage.directory / "models"
    copy_bundle(stage.settings("unused").model.path, models / home.name / VERSION, permute_encoder)
    settings = stage.settings("swap", model_dir=models)
    stage.publish_catalogue(settings)
    there, back = (ModelPin(name=home.name, version=version) for version in (VERSION, home.version))
    sizes = stage.sizes
    schedule = Schedule(sizes.swap_rate, sizes.swap_s, sizes.step_warm_up_s)
    options = load.EventOptions(shoppers=sizes.shoppers, searches=sizes.searches, seed=sizes.seed)
    with stage.worker("ours", settings, "lag") as worker:
        worker.wait_for("ready", READY_S)
        worker.wait_for("recovered", READY_S)
        stage.progress(f"changing the model at {sizes.swap_rate} events/s")
        changes = _Changes(settings, worker, there, back)
        changes.start()
        result = load.run(settings, schedule, stage.shop, options)
        changes.join()
        lags = worker.emitted(LAG)
    return _section(stage, result, changes.stretches(result), lags)


class _Changes(threading.Thread):
    """A thread that pins one model, then the other, while the load runs in other processes."""

    def __init__(self, settings: Settings, worker: Process, there: ModelPin, back: ModelPin) -> None:
        super().__init__(daemon=True)
        self._settings = settings
        self._worker = worker
        self._models = (there, back)
        self._times: list[tuple[float, float]] = []

    def run(self) -> None:
        time.sleep(BEFORE_S)
        for number, model in enumerate(self._models, start=1):
            pinned = time.monotonic()
            asyncio.run(pin_model(self._settings, model))
            self._worker.wait_for_several(TAKEN_OVER, number, SWAP_S)
            self._times.append((pinned, time.monotonic()))
            time.sleep(BETWEEN_S)

    def stretches(self, result: load.Load) -> list[Stretch]:
        """Return the periods of the run."""
        (there, new), (back, old) = self._times
        begun, ended = (
            result.started + result.schedule.warm_up_s,
            result.started + result.schedule.due_s(result.schedule.total),
        )
        return [
            Stretch("before", begun, there),
            Stretch("change to another space", there, new),
            Stretch("between", new, back),
            Stretch("change back to the old model", back, old),
            Stretch("after", old, max(ended, old)),
        ]


def _section(stage: Stage, result: load.Load, stretches: list[Stretch], lags: list[dict[str, float]]) -> Section:
    due = result.started + np.arange(result.schedule.total) / result.schedule.rate
    latencies = np.nan_to_num(result.latencies, nan=np.inf)
    rows, data = [], {}
    for each in stretches:
        within = latencies[(due >= each.start) & (due < each.end)]
        emitted = [lag for lag in lags if each.start <= lag["at"] <= each.end + LAG_EMITTED_S]
        figures = {
            "seconds": each.end - each.start,
            "lag_ms": 1e3 * max((lag["largest"] for lag in emitted), default=float("nan")),
            "busy_ms": 1e3 * max((lag["busiest"] for lag in emitted), default=float("nan")),
            "p50_ms": 1e3 * percentile(within, 50),
            "p99_ms": 1e3 * percentile(within, 99),
        }
        data[each.name] = figures
        rows.append((each.name, *(f"{value:.1f}" for value in figures.values())))
    sizes = stage.sizes
    worst = max(figures["busy_ms"] for figures in data.values())
    return Section(
        title="A model change under load",
        how=HOW.format(rate=sizes.swap_rate, items=sizes.catalogue),
        tables=(Table(("", "seconds", "largest lag ms", "of this: busy ms", "p50 ms", "p99 ms"), tuple(rows)),),
        says=(
            f"The worker blocked its own event loop for at most **{worst:.0f} ms**. The model did not rank "
            f"{result.fallbacks} lists, and {result.missing} events have no list.",
        ),
        data=data,
    )
