"""The table of the report's sections, and what a section is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from rich.console import RenderableType

from streams.value.costs import WorkerCosts
from training.phases import StartPhase
from training.value.assets import KINDS
from training.value.planning import Costs
from training.value.runner import Runner
from training.value.study import Scope, Study


class Section(Protocol):
    """A part of the report."""

    def to_json(self) -> object:
        """Return the data: the field of `streams.value.report.Sections` that has the section's name."""
        ...

    def sentence(self) -> str:
        """Return the result in a sentence."""
        ...

    def tables(self) -> Sequence[RenderableType]:
        """Return what the terminal shows."""
        ...

    def html(self) -> str:
        """Return what the page shows, with its headings."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits that the user sets.

    Attributes:
        minutes: time for all replays.
        events: newest events that are replayed; None to choose.
        lists: lists that are compared, at most.
        pairs: antithetic pairs of orders; None to choose.
        tolerance: share of the worth of all assets at which an order is cut short.
    """

    minutes: float
    events: int | None
    lists: int
    pairs: int | None
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The objects that a section works with.

    Attributes:
        study: the data, and replays of variants of the shop.
        runner: runs replays; results are kept.
        folder: the output folder. A section may keep files of its own there.
        chosen: the names that `--only` chose: KINDS of assets and names of sections.
        limits: the limits that the user sets.
        costs: the times of a replay.
        remaining_s: returns the seconds that are left for replays.
        start_phase: starts the progress display of a phase.
        note: adds a sentence to the plan that the report shows, and prints it.
        ranker: the origin of the ranker: bundle, fitted or retrained.
        worker: the costs of a running worker; None without its metrics.
        made: the sections that were made before this one, by name.
    """

    study: Study
    runner: Runner
    folder: Path
    chosen: frozenset[str]
    limits: Limits
    costs: Costs
    remaining_s: Callable[[], float]
    start_phase: StartPhase
    note: Callable[[str], None]
    ranker: str = "bundle"
    worker: WorkerCosts | None = None
    made: Mapping[str, Section]

    @property
    def full_scope(self) -> Scope:
        """The greatest part of the log that may be replayed."""
        events = len(self.study.interactions)
        return Scope(min(self.limits.events or events, events), self.limits.lists)


@dataclass(frozen=True, slots=True)
class SectionSpec:
    """The description of a section: the names for `--only`, its module, and the function that makes it."""

    names: tuple[str, ...]
    module: str
    function: str

    def make(self, context: RunContext) -> Section | None:
        """Return the section; None if none of its names is chosen, or the log has no data for it."""
        if not context.chosen & {*self.names}:
            return None
        function: Callable[[RunContext], Section | None] = getattr(import_module(self.module), self.function)
        return function(context)


SECTIONS = {
    "assets": SectionSpec(tuple(KINDS), "training.value.losses", "asset_values"),
    "cost": SectionSpec(("cost",), "training.value.cost_section", "costs"),
    "sessions": SectionSpec(("sessions",), "training.value.session_section", "session_values"),
    "live": SectionSpec(("live",), "training.value.live_section", "live_values"),
    "overlap": SectionSpec(("overlap",), "training.value.overlap", "overlap"),
}
"""The sections by name, in the order in which they are made and shown. The last one takes the rest of the time."""

NAMES = tuple(name for spec in SECTIONS.values() for name in spec.names)
"""The names for `--only`."""
