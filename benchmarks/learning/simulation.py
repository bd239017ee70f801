"""Shows the learning loop on a simulated shop: `python -m benchmarks.learning.simulation`.

Shoppers buy within a category at first. On the first day the loop fits a ranker to that. At the end of the second day
the taste changes to brands. The table compares the share of lists that were clicked with the loop and without it, by
quarter of a day. Both runs have the same shoppers.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import numpy.typing as npt

from benchmarks.learning.shop import BRAND, CATEGORY, EXAMINED, START_MS, Answered, Serve, ShopSize, SimulatedShop
from inference.bundle import load_bundle
from streams.contracts.messages import Interaction, ModelPin, ModelRef, Recommendations, occurred_ms
from streams.replay import Replay, for_long_logs
from streams.serving.store import BundleStore
from streams.settings import load_settings
from training.bootstrap import Floats, resampled_means
from training.learning.loop import LearningLoop
from training.learning.outcomes import RANKS
from training.learning.propensities import propensities
from training.learning.rules import DAY_MS, HOUR_MS, LearningRules
from training.learning.store import ListStore, feature_model
from training.learning.versions import Published, Versions

RULES = LearningRules(
    every_ms=DAY_MS,
    held_out_ms=DAY_MS // 2,
    recent_ms=3 * HOUR_MS,
    check_ms=HOUR_MS,
    half_life_ms=(7 * DAY_MS, DAY_MS // 4),
    lists_per_day=3000,
    least_lists=60,
    negatives=40,
    units=0,
    versions_kept=100,  # all: the run without the loop loads one of them
)
CHANGE_DAY = 2
QUARTER_MS = DAY_MS // 4


@dataclass(slots=True)
class Outcome:
    """A run.

    Attributes:
        times: time of each list, in milliseconds since the start.
        clicked: whether the shopper clicked an item of it.
        shoppers: its shopper's number.
        lists: the lists, each with the version of the model that ranked it.
        published: the versions that the loop published.
        theta: propensities by rank, as estimated at the end, (RANKS,).
    """

    times: list[int] = field(default_factory=list)
    clicked: list[bool] = field(default_factory=list)
    shoppers: list[int] = field(default_factory=list)
    lists: list[Recommendations] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    theta: Floats = field(default_factory=lambda: np.ones(RANKS))

    def rate(self, start_ms: int, end_ms: int) -> float:
        """Return the share of the lists of a period that were clicked."""
        return float(np.mean(np.array(self.clicked)[self._within(start_ms, end_ms)]))

    def values(self, start_ms: int, end_ms: int) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Return whether each list of a period was clicked, and its shopper."""
        chosen = self._within(start_ms, end_ms)
        return np.array(self.clicked, dtype=np.float64)[chosen], np.array(self.shoppers)[chosen]

    def _within(self, start_ms: int, end_ms: int) -> npt.NDArray[np.bool_]:
        times = np.array(self.times)
        within: npt.NDArray[np.bool_] = (times >= start_ms) & (times < end_ms)
        return within


@dataclass(slots=True)
class Workers:
    """The workers of a shop.

    Attributes:
        replay: the shop's state.
        models: the model folder that they watch.
        model: the model that they serve.
    """

    replay: Replay
    models: BundleStore
    model: ModelRef

    def serve(self, interaction: Interaction) -> Recommendations:
        """Fold an interaction in, and return its list."""
        (message,) = self.replay.recommend([interaction])
        return msgspec.structs.replace(message, model=self.model)

    def fold(self, interaction: Interaction) -> None:
        """Fold an interaction in without ranking. The state is the same as after `serve`."""
        for _ in self.replay.fold([interaction]):
            pass

    def use(self, version: str) -> None:
        """Serve this version from now on. Real workers do so within INTENTSTREAM_MODEL_WATCH_SECONDS."""
        if version != self.model.version:
            name = self.model.name
            self.replay.recommender.set_scorer(self.models.load(ModelPin(name=name, version=version)).scorer)
            self.model = ModelRef(name=name, version=version)


@dataclass(frozen=True, slots=True)
class Run:
    """A shop with its workers and its loop, on a folder of its own.

    Attributes:
        folder: an empty folder.
        bundle: folder of the first version of the model.
        size: size of the shop.
        seed: seed of the shop.
        rules: rules of the loop.
    """

    folder: Path
    bundle: Path
    size: ShopSize = field(default_factory=ShopSize)
    seed: int = 0
    rules: LearningRules = RULES

    def simulate(self, days: int) -> Outcome:
        """Simulate days of the shop with the loop."""
        shop, workers = self._shop()
        _, reading = self._shop()
        first = load_bundle(self._first)
        loop = LearningLoop(
            rules=self.rules,
            replay=reading.replay,
            store=ListStore(self.folder / "lists", self.rules.lists_kept, feature_model(first)),
            versions=Versions.opened(workers.models, self.folder / "versions.json", self.rules.versions_kept),
        )
        checked_ms = 0

        def learn(answered: Answered) -> None:
            nonlocal checked_ms
            loop.observe(answered.interaction)
            loop.observe(answered.message)
            at_ms = occurred_ms(answered.interaction)
            if at_ms - checked_ms >= self.rules.check_ms:
                checked_ms = at_ms
                loop.advance()
                newest = workers.models.newest()
                if newest is not None:
                    workers.use(newest.version)

        outcome = _outcome(shop, days, workers.serve, learn)
        outcome.published = list(loop.versions.ledger.published)
        outcome.theta = propensities(loop.store.exposures())
        for _ in range(3):
            loop.advance()
        if len(loop.versions.ledger.published) != len(outcome.published):
            raise RuntimeError("simulation: required no version without new data, got one")
        return outcome

    def without_loop(self, days: int, loop: Outcome, from_ms: int) -> Outcome:
        """Simulate the same days as `loop`, the outcome of this run, but stop the loop `from_ms` after the start.

        Nothing differs until then, so these lists are those of `loop`, and the workers only fold the interactions in.
        """
        shop, workers = self._shop()
        known = list(compress(loop.lists, (at_ms < from_ms for at_ms in loop.times)))
        former = iter(known)

        def serve(interaction: Interaction) -> Recommendations:
            message = next(former, None)
            if message is None:
                workers.use(known[-1].model.version)
                return workers.serve(interaction)
            if message.trigger.event_id != interaction.event_id:
                raise RuntimeError(
                    f"simulation: required the list of {interaction.event_id}, got that of {message.trigger.event_id}"
                )
            workers.fold(interaction)
            return message

        outcome = _outcome(shop, days, serve, lambda _: None)
        outcome.published = [each for each in loop.published if each.at_ms - START_MS < from_ms]
        return outcome

    def _shop(self) -> tuple[SimulatedShop, Workers]:
        """Return the shop, and workers that have its catalogue and the first version of the model."""
        if not self._first.exists():
            shutil.copytree(self.bundle, self._first)
        given = {"model_path": self._first, "model_dir": self.folder / "models"}
        settings = for_long_logs(load_settings(given, env_file=None))
        change_ms = START_MS + CHANGE_DAY * DAY_MS
        shop = SimulatedShop(self.size, self.seed, lambda at_ms: CATEGORY if at_ms < change_ms else BRAND)
        bundle = load_bundle(self._first)
        model = ModelRef(name=bundle.name, version=bundle.version)
        return shop, Workers(Replay(settings, bundle, shop.catalogue(bundle)), BundleStore.of(settings), model)

    @property
    def _first(self) -> Path:
        """Folder of the first version, in the model folder that workers watch."""
        return self.folder / "models" / self.bundle.parent.name / self.bundle.name


def _outcome(shop: SimulatedShop, days: int, serve: Serve, learn: Callable[[Answered], None]) -> Outcome:
    """Simulate days of the shop. `learn` gets each interaction with its list."""
    outcome, answers = Outcome(), []
    for answered in shop.run(days, serve):
        answers.append(answered)
        outcome.times.append(occurred_ms(answered.interaction) - START_MS)
        outcome.shoppers.append(int(answered.interaction.user_id[1:]))
        outcome.lists.append(answered.message)
        learn(answered)
    outcome.clicked = [answered.clicked for answered in answers]
    return outcome


def recovered(loop: Outcome, frozen: Outcome, seed: int = 0) -> tuple[float, float, float]:
    """Return the share of the loss by the change that the loop recovers, with its 95% interval over shoppers.

    The loss is the click rate of the day before the change, minus that without the loop in the last quarter of the
    first day after it; the recovery is measured in the same quarter.
    """
    change_ms = CHANGE_DAY * DAY_MS
    last = (change_ms + DAY_MS - QUARTER_MS, change_ms + DAY_MS)
    parts = [frozen.values(change_ms - DAY_MS, change_ms), frozen.values(*last), loop.values(*last)]
    values, shoppers = [], []
    for number, (clicked, own) in enumerate(parts):
        columns = np.zeros((len(clicked), 6))
        columns[:, number], columns[:, 3 + number] = clicked, 1
        values.append(columns)
        shoppers.append(own)
    table, clusters = np.concatenate(values), np.concatenate(shoppers)
    draws = resampled_means(table, clusters, seed)
    means = np.concatenate([table.mean(axis=0)[None], draws])
    rates = means[:, :3] / means[:, 3:]
    share = (rates[:, 2] - rates[:, 1]) / (rates[:, 0] - rates[:, 1])
    low, high = np.quantile(share[1:], [0.025, 0.975])
    return float(share[0]), float(low), float(high)


def report(loop: Outcome, frozen: Outcome, days: int) -> str:
    """Return the click rates by quarter of a day as a Markdown table, with the versions and the recovered share."""
    lines = ["| hours | taste | without the loop | with the loop | published |", "|---|---|---|---|---|"]
    for start_ms in range(0, days * DAY_MS, QUARTER_MS):
        end_ms = start_ms + QUARTER_MS
        new = [
            f"{each.version} at {(each.at_ms - START_MS) / HOUR_MS:.0f} h"
            for each in loop.published if start_ms <= each.at_ms - START_MS < end_ms
        ]  # fmt: skip
        taste = CATEGORY if start_ms < CHANGE_DAY * DAY_MS else BRAND
        cells = [f"{each.rate(start_ms, end_ms):.1%}" for each in (frozen, loop)]
        hours = f"{start_ms // HOUR_MS}–{end_ms // HOUR_MS}"
        lines.append(f"| {hours} | {taste} | {' | '.join(cells)} | {', '.join(new)} |")
    share, low, high = recovered(loop, frozen)
    lines += ["", f"In the last quarter of the first day after the change, the loop has recovered {share:.0%} "
                  f"[{low:.0%}, {high:.0%}] of what the change cost (95%, over shoppers)."]  # fmt: skip
    shown = [
        f"{rank}: {loop.theta[rank - 1]:.2f} ({rank**-EXAMINED:.2f})" for rank in (1, 2, 3, 5, 10, 20)
    ]  # fmt: skip
    lines += ["", f"Propensities by rank, estimated and (true): {', '.join(shown)}.", ""]
    lines += [f"- {each.version} after {each.former}: {each.reason}" for each in loop.published]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Run both simulations and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=load_settings(env_file=None).model.path)
    parser.add_argument("--days", type=int, default=CHANGE_DAY + 1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.process_time()
    with TemporaryDirectory() as folder:
        run = Run(Path(folder), options.bundle, seed=options.seed)
        loop = run.simulate(options.days)
        frozen = run.without_loop(options.days, loop, CHANGE_DAY * DAY_MS)
    print(report(loop, frozen, options.days))
    taken = time.process_time() - started
    print(f"\n{len(loop.times)} and {len(frozen.times)} events, {taken:.0f} s of CPU time in all.")


if __name__ == "__main__":
    main(sys.argv[1:])
