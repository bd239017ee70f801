"""The circumstances in a report: the data, the model, the options and the settings. No I/O."""

from __future__ import annotations

import numpy as np

from streams.evaluation.cases import Cases
from streams.evaluation.log import SEARCH, Log
from streams.evaluation.plan import Options, System
from streams.evaluation.report import Data, Model
from streams.settings import Settings

TOLD = (
    "behaviour", "candidates", "diversity", "exact_search", "execution_providers", "half_life", "habit", "list_size",
    "lasting", "pairs", "session", "sources", "trending_interval", "weight",
)  # fmt: skip
"""Parts of the names of settings that change lists."""
Plain = str | int | float | bool | None


def data_of(log: Log, found: int, chosen: Cases, start: int) -> Data:
    """Describe the log. It has `found` cases, and `chosen` are those that were evaluated."""
    return Data(
        items=log.catalogue,
        events=len(log),
        searches=int((log.item == SEARCH).sum()),
        shoppers=len(np.unique(log.user)),
        sessions=len(np.unique(log.session)),
        since=log.interactions[0].occurred_at.isoformat(),
        tested_since=log.interactions[start].occurred_at.isoformat(),
        until=log.interactions[-1].occurred_at.isoformat(),
        cases=len(chosen),
        cases_found=found,
        unknown_share=log.unknown_share,
        unknown_targets=float((chosen.targets.items >= log.catalogue).mean()),
    )


def model_of(system: System) -> Model:
    """Return the names of the bundle and its ranker."""
    return Model(
        name=system.bundle.name,
        version=system.bundle.version,
        vector_space=system.bundle.vector_space,
        ranker="bundle" if system.fit is None else "fitted",
    )


def options_of(options: Options) -> dict[str, Plain | list[int]]:
    """Return the options of the evaluation."""
    return {
        "k": list(options.ks),
        "test_share": None if options.test_from else options.test_share,
        "test_from": None if options.test_from is None else options.test_from.isoformat(),
        "sample": options.sample,
        "ablation_sample": options.ablation,
        "seed": options.seed,
    }


def settings_of(settings: Settings) -> dict[str, Plain | list[str]]:
    """Return the settings that change lists, without addresses and secrets."""
    groups: dict[str, dict[str, Plain | list[str]]] = settings.model_dump(mode="json", by_alias=True)
    values = {name: value for group in groups.values() for name, value in group.items()}
    return {
        name: value
        for name, value in values.items()
        if any(part in name for part in TOLD) and not name.endswith("_topic")
    }
