"""A shop of 60 items whose shoppers keep to a department, and studies of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from inference.bundle import Bundle
from inference.types import Item
from streams.contracts.messages import Interaction, Purchase, Search, View
from streams.settings import load_settings
from training.value.planning import Costs
from training.value.runner import Runner, Store
from training.value.sections import Limits, RunContext
from training.value.study import Scope, Study, StudyOptions

EVERYTHING = Scope(10_000, 10_000)
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "brown", "grey", "pink", "orange", "violet", "silver")
THINGS = ("tea", "lamp", "shoes", "chair", "book")
SHOP = [
    Item(
        item_id=f"i{n}", title=f"{COLOURS[n // 5]} {THINGS[n % 5]}", category=("Shop", THINGS[n % 5]), price=1.0 + n % 5
    )
    for n in range(60)
]


def shop_events(seed: int = 7, length: int = 240) -> list[Interaction]:
    """Return visits of eight shoppers: searches, views and purchases of things that each of them prefers."""
    draw = np.random.default_rng(seed)
    events: list[Interaction] = []
    for number in range(length):
        visit = number // 6
        shopper = visit % 8
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=100 * visit + number % 6)
        thing = shopper % 5 if draw.random() < 0.8 else int(draw.integers(5))
        item = 5 * min(int(draw.exponential(3)), 11) + thing
        shared: dict[str, Any] = {"event_id": f"e{number}", "user_id": f"u{shopper}"}
        if number % 6 == 0:
            events.append(Search(**shared, occurred_at=at, query=THINGS[thing]))
        else:
            kind = Purchase if number % 6 == 5 else View
            events.append(kind(**shared, occurred_at=at, item_id=f"i{item}"))
    return events


def study_of(
    bundle: Bundle,
    *,
    items: Sequence[Item] = SHOP,
    events: Sequence[Interaction] | None = None,
    protocol: str = "next-item",
    retrained: bool = False,
) -> Study:
    """Return a study whose test period is the second half of the events."""
    options = StudyOptions(protocol=protocol, test_share=0.5, retrained=retrained)
    settings = load_settings({"list_size": options.k, "trending_interval_seconds": 300.0})
    return Study(settings, bundle, items, shop_events() if events is None else events, {}, options)


def context_of(study: Study, folder: Path, *chosen: str, notes: list[str] | None = None) -> RunContext:
    """Return a context that replays everything, in this process."""
    return RunContext(
        study=study,
        runner=Runner(study, Store(folder, "digest")),
        folder=folder,
        chosen=frozenset(chosen),
        limits=Limits(minutes=1.0, events=None, lists=10_000, pairs=3, tolerance=0.0),
        costs=Costs(1e-3, 1e-6, 1e-6),
        remaining_s=lambda: 60.0,
        start_phase=lambda _name, _total: lambda _steps: None,
        made={},
        note=([] if notes is None else notes).append,
    )
