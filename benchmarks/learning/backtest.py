"""Runs the learning loop over a shop's past events: `python -m benchmarks.learning.backtest --catalog … --events …`.

Each list is ordered by the ranker that was in use when it was gathered, and by the first one, before the loop learns
from it (prequential evaluation: Dawid 1984, doi:10.2307/2981683). There are no lists that shoppers saw, so neither
position bias nor the guardrail plays a part.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle, load_bundle
from inference.pipeline import ScoresFeatures
from streams.contracts.jsonlines import read_items
from streams.contracts.messages import Interaction, occurred_ms
from streams.event_log import read_event_log, without_repeats
from streams.factory import profile_rules
from streams.items.encoded import encode_catalogue, read_vectors
from streams.replay import Replay, for_long_logs
from streams.serving.store import BundleStore
from streams.settings import Settings, load_settings
from training.bootstrap import Floats, interval, resampled_means
from training.learning.judging import ndcg_of_lists
from training.learning.loop import LearningLoop
from training.learning.rules import DAY_MS, LearningRules
from training.learning.store import Lists, ListStore, feature_model
from training.learning.versions import Published, Versions


@dataclass(slots=True)
class Backtest:
    """The result: of each list its time, its shopper, and NDCG@20 by the first ranker and by the one in use, (2,)."""

    times: list[npt.NDArray[np.int64]] = field(default_factory=list)
    shoppers: list[npt.NDArray[np.uint64]] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)

    def report(self, seed: int = 0) -> str:
        """Return the figures by month and in all as a Markdown table."""
        times, shoppers, values = (np.concatenate(each) for each in (self.times, self.shoppers, self.values))
        months = np.array([f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m}" for at_ms in times.tolist()])
        lines = ["| month | lists | first ranker | loop | difference |", "|---|---|---|---|---|"]
        for month in (*np.unique(months).tolist(), "all"):
            own = np.ones(len(times), dtype=np.bool_) if month == "all" else months == month
            first, loop = values[own].mean(axis=0)
            change = (values[own, 1] - values[own, 0])[:, None]
            low, high = interval(resampled_means(change, shoppers[own].astype(np.int64), seed)[:, 0])
            cells = f"{first:.4f} | {loop:.4f} | {loop - first:+.4f} [{low:+.4f}, {high:+.4f}]"
            lines.append(f"| {month} | {own.sum():,} | {cells} |")
        at = [f"{each.version} on {datetime.fromtimestamp(each.at_ms / 1000, UTC):%Y-%m-%d}" for each in self.published]
        return "\n".join([*lines, "", f"Published: {', '.join(at) or 'nothing'}."])


def backtest(settings: Settings, bundle: Bundle, replay: Replay, events: Sequence[Interaction], rules: LearningRules,
             folder: Path) -> Backtest:  # fmt: skip
    """Run the loop over events, and check once in `rules.check_ms`. `bundle` is the model of `settings`."""
    models = BundleStore.of(settings)
    loop = LearningLoop(
        rules=rules,
        replay=replay,
        store=ListStore(folder / "lists", rules.lists_kept, feature_model(bundle)),
        versions=Versions.opened(models, folder / "versions.json", rules.versions_kept),
    )
    first = bundle.scorer
    present, version, result = first, "", Backtest()
    checked_ms = judged_ms = 0
    for event in events:
        loop.observe(event)
        if occurred_ms(event) - checked_ms < rules.check_ms and event is not events[-1]:
            continue
        checked_ms = occurred_ms(event)
        # The lists of this turn are gathered before its refit, so the ranker before the turn orders them.
        loop.advance()
        loop.flush()
        lists = loop.store.read()
        if lists is not None and (lists.times > judged_ms).any():
            own = lists.where(lists.times > judged_ms)
            judged_ms = int(lists.times.max())
            _judge(result, own, [first, present])
        model = loop.versions.in_use(None)
        if model.version != version:
            version, present = model.version, models.load(model).scorer
    result.published = list(loop.versions.ledger.published)
    return result


def _judge(result: Backtest, lists: Lists, rankers: Sequence[ScoresFeatures]) -> None:
    values = np.stack([ndcg_of_lists(ranker, lists.examples) for ranker in rankers], axis=1)
    judged = ~np.isnan(values[:, 0])
    result.values.append(values[judged])
    result.times.append(lists.times[judged])
    result.shoppers.append(lists.shoppers[judged])


def main(arguments: Sequence[str]) -> None:
    """Run the loop over a log and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalog", type=Path, required=True, help="items, JSON Lines")
    parser.add_argument("--events", type=Path, required=True, help="interactions, JSON Lines")
    parser.add_argument("--vectors", type=Path, help="vectors of the catalogue, from `intentstream encode`")
    parser.add_argument("--most", type=int, help="use only so many events")
    parser.add_argument("--every-days", type=float, default=7, help="days between two refits")
    parser.add_argument("--held-out-days", type=float, default=3, help="days that judge a refit")
    parser.add_argument("--lists-per-day", type=int, default=300, help="lists gathered in a day")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    started = time.process_time()
    source = load_settings(env_file=None).model.path
    with TemporaryDirectory() as folder:
        models = Path(folder, "models")
        shutil.copytree(source, models / source.parent.name / source.name)
        given = {"model_path": models / source.parent.name / source.name, "model_dir": models}
        settings = for_long_logs(load_settings(given, env_file=None))
        bundle = load_bundle(settings.model.path)
        known = read_vectors(options.vectors, bundle) if options.vectors else None
        records = encode_catalogue(bundle, [line.message for line in read_items(options.catalog)], known=known)
        log = read_event_log(options.events, profile_rules(settings).max_clock_skew_ms)
        rules = LearningRules(
            every_ms=round(options.every_days * DAY_MS),
            held_out_ms=round(options.held_out_days * DAY_MS),
            recent_ms=round(options.held_out_days * DAY_MS),
            half_life_ms=(28 * DAY_MS, 7 * DAY_MS),
            check_ms=DAY_MS,
            lists_per_day=options.lists_per_day,
        )
        events = list(islice(without_repeats(log.interactions), options.most))
        result = backtest(settings, bundle, Replay(settings, bundle, records), events, rules, Path(folder))
    print(result.report())
    print(f"\n{len(events)} events, {time.process_time() - started:.0f} s of CPU time.")


if __name__ == "__main__":
    main(sys.argv[1:])
