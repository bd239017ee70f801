"""What an evaluation found, as data: the JSON that `intentstream evaluate --json` writes. Pure.

`schema` and `version` say what it is; fields are added, never renamed or removed. Keys of k are text, as JSON's are.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

SCHEMA = "intentstream-evaluation"
VERSION = 1


class Estimate(msgspec.Struct, frozen=True):
    """A mean and its 95% interval, by bootstrap over shoppers."""

    value: float
    low: float
    high: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One way to rank.

    Attributes:
        name: of the way.
        group: ours, baseline or source (one of our sources, alone).
        metrics: hr, mrr, ndcg, recall, precision, f1, each by k.
        coverage: share of the catalogue that was shown, by k.
        novelty: bits: mean −log₂ of a shown item's share of all actions, by k.
        rank_us: microseconds a list, median; None where not measured alone.
        learn_us: microseconds to take in an interaction, mean; None where not measured alone.
    """

    name: str
    group: str
    metrics: Mapping[str, Mapping[str, Estimate]]
    coverage: Mapping[str, float]
    novelty: Mapping[str, float]
    rank_us: float | None = None
    learn_us: float | None = None


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """Ours minus a baseline, paired: the same resampled shoppers for both. `relative` to the baseline."""

    baseline: str
    metric: str
    k: int
    difference: Estimate
    relative: float | None


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a part of the targets each way found among the first k.

    `by` is item (how often it was acted on before), shopper (new or known) or position (of the session).
    """

    by: str
    name: str
    targets: int
    found: Mapping[str, Estimate]


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What a source is worth: the primary metric of the whole system minus that without the source, paired.

    `alone` is over all cases; `whole` and `without` over the sample that was ranked without it.
    """

    source: str
    alone: Estimate
    whole: Estimate
    without: Estimate
    loss: Estimate


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """What it was measured on. Times are RFC 3339.

    Attributes:
        cases, cases_found: lists that were asked for, and how many there were to choose from.
        unknown_share: of the actions, those on items that the catalogue lacks.
        unknown_targets: of what counts, the items that the catalogue lacks: each is a miss.
    """

    items: int
    events: int = 0
    searches: int = 0
    shoppers: int = 0
    sessions: int = 0
    since: str | None = None
    tested_since: str | None = None
    until: str | None = None
    cases: int = 0
    cases_found: int = 0
    unknown_share: float = 0.0
    unknown_targets: float = 0.0


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle, and which ranker ordered the lists: the bundle's, or one fitted to the learning part."""

    name: str
    version: str
    vector_space: str
    ranker: str = "bundle"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole. `primary` is the metric that counts most in the protocol, with its k, then the second."""

    schema: str = SCHEMA
    version: int = VERSION
    protocol: str
    measured_at: str
    data: Data
    model: Model
    options: Mapping[str, str | int | float | bool | list[int] | None]
    settings: Mapping[str, str | int | float | bool | list[str] | None]
    primary: tuple[tuple[str, int], tuple[str, int]]
    rows: list[Row]
    best_baseline: str | None
    versus: list[Versus]
    slices: list[Slice]
    worth: list[Worth]
    stages_us: Mapping[str, float]

    def row(self, name: str) -> Row | None:
        """Return the row of a way to rank."""
        return next((row for row in self.rows if row.name == name), None)
