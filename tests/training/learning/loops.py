"""A loop on the files of a folder, with lists that are on disk already."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from inference.bundle import Bundle
from streams.contracts.messages import ModelPin
from streams.replay import Replay
from streams.serving.store import BundleStore
from streams.settings import load_settings
from tests.conftest import BUNDLE
from tests.training.learning.acts import START_MS
from tests.training.learning.some_lists import gathered
from training.learning.loop import LearningLoop
from training.learning.metrics import REFITS
from training.learning.rules import DAY_MS, HOUR_MS, LearningRules
from training.learning.store import ListStore, as_lists, feature_model
from training.learning.versions import Versions

NAME = BUNDLE.parent.name
FIRST = ModelPin(name=NAME, version=BUNDLE.name)
RULES = LearningRules(least_lists=20, units=0, every_ms=DAY_MS, held_out_ms=DAY_MS // 2)
STEP_MS = 2 * 60_000


def loop_in(folder: Path, bundle: Bundle, rules: LearningRules = RULES) -> LearningLoop:
    models = folder / "models"
    settings = load_settings({"model_path": models / NAME / BUNDLE.name, "model_dir": models}, env_file=None)
    return LearningLoop(
        rules=rules,
        replay=Replay(settings, bundle, ()),
        store=ListStore(folder / "lists", rules.lists_kept, feature_model(bundle)),
        versions=Versions.opened(BundleStore.of(settings), folder / "versions.json", rules.versions_kept),
    )


def fill(loop: LearningLoop, feature: str, hours: Iterable[int], seed: int = 0, noise: float = 0) -> None:
    """Store lists of these hours, and set the loop's time to the end of the last one."""
    for hour in hours:
        start_ms = START_MS + hour * HOUR_MS
        lists = gathered(feature, 30, seed=seed + hour, noise=noise)
        spread = [each._replace(at_ms=start_ms + number * STEP_MS) for number, each in enumerate(lists)]
        loop.store.write(as_lists(spread), {}, {})
        loop.now_ms = start_ms + HOUR_MS
        loop._new_lists += 30


def outcomes(loop: LearningLoop) -> dict[str, float]:
    value = loop.metrics.registry.get_sample_value
    counted = {name: value("intentstream_learn_refits_total", {"outcome": name}) or 0 for name in REFITS}
    return {name: number for name, number in counted.items() if number}
