"""The section of a value report on cost beside value. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from streams.value.estimates import Estimate

Advice = Literal[
    "keep",
    "collect more",
    "sample",
    "shorten retention",
    "stop collecting",
    "switch off",
    "measure longer",
    "measure otherwise",
]


class AssetCost(msgspec.Struct, frozen=True, kw_only=True):
    """An asset's cost beside its value.

    Attributes:
        kind, name, title: as in the values of assets.
        value: the relative loss of the primary metric without the asset, with its interval.
        bytes: size in the files; None for sources.
        cpu_us: CPU microseconds: of a source for a list, of an event type for an event with its list; None for others.
        memory: bytes of the tables that a source reads, which other sources may read too; None for others.
        cost_share: part of the cost of all assets of its kind: of the CPU for sources and types, else of the bytes.
        value_share: part of the positive losses of all assets of its kind.
        coverage: share of the events or items that have it; None for sources.
        advice, reason: the advice, and why.
    """

    kind: str
    name: str
    title: str
    value: Estimate
    bytes: int | None = None
    cpu_us: float | None = None
    memory: int | None = None
    cost_share: float
    value_share: float
    coverage: float | None = None
    advice: Advice
    reason: str


class WorkerCosts(msgspec.Struct, frozen=True, kw_only=True):
    """The costs of a running worker since its start.

    Attributes:
        events: events that a list was delivered for, by type.
        stages_us: microseconds of each stage of the path of events, per event: elapsed time, with waiting.
        cpu_us: microseconds of CPU of the whole process per event, with its start and idle time; None if the process
            exports no time, as on systems without /proc.
        tables_bytes: live data of each table on disk.
        memtables_bytes: memory of each table's latest changes, which are not on disk yet.
        memory_bytes: resident memory of the process, None if it exports none.
        sources: share of the lists whose first item each source proposed. Several sources may propose one item.
    """

    events: Mapping[str, float]
    stages_us: Mapping[str, float]
    cpu_us: float | None
    tables_bytes: Mapping[str, float]
    memtables_bytes: Mapping[str, float]
    memory_bytes: float | None
    sources: Mapping[str, float]


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The costs.

    Attributes:
        assets: an entry for each asset with a measured value.
        days: length of the log in days.
        event_bytes: bytes of all events as JSON, before compression.
        memory: bytes of each table in memory.
        event_us, list_us: CPU microseconds to fold an event in, and to make a list.
        running: the costs of a running worker, None without its metrics.
        rules: the rules of the advice.
    """

    assets: list[AssetCost]
    days: float
    event_bytes: int
    memory: Mapping[str, int]
    event_us: float
    list_us: float
    running: WorkerCosts | None
    rules: Sequence[str] = ()
