"""The input of an evaluation: the system and the options. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from inference.bundle import Bundle
from inference.pipeline import ScoresFeatures
from inference.types import Item
from streams.contracts.messages import ItemVector
from streams.settings import Settings
from training.ranker.gather import List

JUDGED = "judgements"
Primary = tuple[tuple[str, int], tuple[str, int]]
PRIMARY: dict[str, Primary] = {
    "next-item": (("hr", 20), ("mrr", 20)),
    "next-basket": (("recall", 20), ("ndcg", 20)),
    "search": (("ndcg", 10), ("mrr", 10)),
    JUDGED: (("ndcg", 10), ("mrr", 10)),
}
"""The primary metric of each protocol, and the second one."""

Fit = Callable[[Sequence[List]], ScoresFeatures]
"""Fits a ranker to the examples of the learning period."""


Tell = Callable[[str, int], Callable[[int], None]]
"""Starts the progress display of a phase, with its name and size. The function that it returns advances the display."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of an evaluation.

    Attributes:
        protocol: next-item, next-basket, search or judgements.
        ks: lengths of list to measure, ascending.
        test_share: share of the log that is tested: its last part, by number of interactions.
        test_from: start of the test period, instead of a share.
        sample: number of cases at most, drawn at random; None for all.
        ablation: number of cases that are also ranked without each source; 0 for none.
        seed: seed of all draws.
        measured_at: time of the evaluation.
    """

    protocol: str
    measured_at: datetime
    ks: tuple[int, ...] = (1, 5, 10, 20)
    test_share: float = 0.2
    test_from: datetime | None = None
    sample: int | None = None
    ablation: int = 2000
    seed: int = 0

    @property
    def primary(self) -> Primary:
        """The two primary metrics, at their k or at the largest k that is measured."""
        first, second = PRIMARY[self.protocol]
        return self._at(*first), self._at(*second)

    def _at(self, metric: str, k: int) -> tuple[str, int]:
        return metric, k if k in self.ks else max(self.ks)


@dataclass(frozen=True, slots=True)
class System:
    """The system under evaluation: settings, a model, a catalogue and, to replay events, the encoded catalogue.

    With `fit`, a ranker is first fitted to the learning period.
    """

    settings: Settings
    bundle: Bundle
    items: Sequence[Item]
    records: Sequence[ItemVector] = ()
    fit: Fit | None = None
