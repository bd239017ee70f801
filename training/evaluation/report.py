"""The result of an evaluation as data: the JSON that `intentstream evaluate --json` writes. No I/O.

`schema` and `version` identify the format. Fields are added, never renamed or removed. The keys of k are strings, as
JSON requires.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from streams.value.estimates import Estimate

SCHEMA = "intentstream-evaluation"
VERSION = 1


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one recommender.

    Attributes:
        name: name of the recommender.
        group: ours, baseline, or source (one source of the system, alone).
        metrics: hr, mrr, ndcg, recall, precision, f1, each by k.
        coverage: share of the catalogue on at least one list, by k.
        novelty: bits: mean −log₂ of a listed item's share of all actions, by k.
        rank_us: median microseconds of a list; None if it was not measured separately.
        learn_us: mean microseconds to learn an interaction; None if it was not measured separately.
    """

    name: str
    group: str
    metrics: Mapping[str, Mapping[str, Estimate]]
    coverage: Mapping[str, float]
    novelty: Mapping[str, float]
    rank_us: float | None = None
    learn_us: float | None = None


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """The system minus a baseline, paired: the same resampled shoppers. `relative` is relative to the baseline."""

    baseline: str
    metric: str
    k: int
    difference: Estimate
    relative: float | None


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The share of a part of the targets that each recommender found among the first k.

    `by` is item (earlier actions on it), shopper (new or known) or position (in the session).
    """

    by: str
    name: str
    targets: int
    found: Mapping[str, Estimate]


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """The value of a source: the primary metric of the system minus that of the system without the source, paired.

    `alone` is over all cases. `whole` and `without` are over the sample that was also ranked without the source.
    """

    source: str
    alone: Estimate
    whole: Estimate
    without: Estimate
    loss: Estimate


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """The share of a group of items in the catalogue (`items`), and in the exposure of each recommender's lists.

    `by` is age, popularity or seller. An item's exposure is the sum of 1 / log₂(1 + rank) over the lists with it.
    """

    by: str
    name: str
    items: float
    shown: Mapping[str, float]


class Concentration(msgspec.Struct, frozen=True):
    """The Gini coefficient of the exposure of all items, and the share of the catalogue on at least one list."""

    gini: float
    coverage: float


class Fairness(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the system with another value of INTENTSTREAM_FAIRNESS, over the ablation sample.

    Attributes:
        metrics: both primary metrics.
        cost: each minus its value at fairness 0, paired.
        protected: share of the exposure of items without any action and of items of small sellers, together.
        new, small_sellers: the same for each of the two.
        tail: the same for the less popular half of the items.
    """

    fairness: float
    metrics: Mapping[str, Estimate]
    cost: Mapping[str, Estimate]
    protected: float
    new: float
    small_sellers: float
    tail: float
    concentration: Concentration


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The system beside the best baseline in the primary metric, paired.

    `outcome` is better, worse, or undecided if the interval of `difference` includes 0. `relative` is the difference
    divided by the baseline's value; None if that is 0.
    """

    outcome: Literal["better", "worse", "undecided"]
    sentence: str
    baseline: str
    metric: str
    k: int
    ours: float
    theirs: float
    difference: Estimate
    relative: Estimate | None


class Tenth(msgspec.Struct, frozen=True, kw_only=True):
    """A tenth of the listed items, by probability: the mean probability, and the share that shoppers acted on."""

    items: int
    predicted: float
    observed: Estimate


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The probabilities of the system's lists beside what shoppers did.

    The lists are a sample of the test period's moments, also of those that no action followed. An item counts if the
    shopper acted on it as in the ranker's training: among the next items of the session, or in the basket.

    Attributes:
        lists: number of lists.
        tenths: the listed items by rising probability.
        predicted, observed: mean probability, and share acted on, of all listed items.
        error: mean distance of a tenth's two values, weighted by its items (expected calibration error).
    """

    lists: int
    tenths: list[Tenth]
    predicted: float
    observed: float
    error: float


class PerCase(msgspec.Struct, frozen=True, kw_only=True):
    """The system's primary metrics of each case, for a paired comparison with another evaluation of the same cases.

    Arrays are little-endian, compressed by zlib, in base64.

    Attributes:
        cases: hash of the protocol, the moments and the targets of the cases.
        shoppers: the shopper of each case, int32 (cases,). Graded searches are their own.
        values: float32 (cases,) by metric and k, such as `hr@20`.
    """

    cases: str
    shoppers: bytes
    values: Mapping[str, bytes]


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the evaluation. Times are RFC 3339.

    Attributes:
        cases, cases_found: number of lists that were evaluated, and number of lists that the log allows.
        unknown_share: share of the actions on items that are not in the catalogue.
        unknown_targets: share of the targets that are not in the catalogue. Each is a miss.
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
    """The bundle and the ranker of the lists: `bundle` for the bundle's own, `fitted` for one fitted to the log.

    `known_share` is the estimated share of the tested events, or graded items, that the bundle's ranker was fitted to,
    by the bundle's manifest; 0 if the manifest does not record it, as in bundles of 0.2.0 and before.
    """

    name: str
    version: str
    vector_space: str
    ranker: str = "bundle"
    known_share: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result. `primary` contains the protocol's primary metric with its k, then the second one."""

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
    exposure: list[Exposure] = []
    concentration: Mapping[str, Concentration] = {}
    fairness: list[Fairness] = []
    verdict: Verdict | None = None
    calibration: Calibration | None = None
    per_case: PerCase | None = None

    def row(self, name: str) -> Row | None:
        """Return the row of a recommender."""
        return next((row for row in self.rows if row.name == name), None)
