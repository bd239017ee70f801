"""What is evaluated, and how thoroughly. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from inference.bundle import Bundle
from inference.pipeline import ScoresFeatures
from inference.types import Item
from streams.contracts.messages import ItemVector
from streams.examples import List
from streams.settings import Settings

JUDGED = "judgements"
Primary = tuple[tuple[str, int], tuple[str, int]]
PRIMARY: dict[str, Primary] = {
    "next-item": (("hr", 20), ("mrr", 20)),
    "next-basket": (("recall", 20), ("ndcg", 20)),
    "search": (("ndcg", 10), ("mrr", 10)),
    JUDGED: (("ndcg", 10), ("mrr", 10)),
}
"""The metric that counts most in a protocol, and the second."""

Fit = Callable[[Sequence[List]], ScoresFeatures]
"""Fits a ranker to the examples of the learning part."""


Tell = Callable[[str, int], Callable[[int], None]]
"""Shows a long phase: given its name and size, returns what to tell each step to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked.

    Attributes:
        protocol: next-item, next-basket, search or judgements.
        ks: lengths of list that are looked at, rising.
        test_share: of the log, by number of interactions, the last part that is tested.
        test_from: when the test period begins, instead of a share.
        sample: cases at most, drawn at random; None for all.
        ablation: cases for which the system is asked without each source; 0 for none.
        seed: of all draws.
        measured_at: when.
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
        """The two metrics that count, at their k, or the largest there is."""
        first, second = PRIMARY[self.protocol]
        return self._at(*first), self._at(*second)

    def _at(self, metric: str, k: int) -> tuple[str, int]:
        return metric, k if k in self.ks else max(self.ks)


@dataclass(frozen=True, slots=True)
class System:
    """What is evaluated: settings, a model, a catalogue, and where shoppers act on it, the catalogue encoded.

    With `fit`, a ranker is made first of what the learning part teaches.
    """

    settings: Settings
    bundle: Bundle
    items: Sequence[Item]
    records: Sequence[ItemVector] = ()
    fit: Fit | None = None
