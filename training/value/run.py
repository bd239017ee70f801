"""A complete study: the timed replay, the sections, and the report with its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from time import monotonic

import msgspec
import numpy as np
from rich.console import Console
from rich.text import Text

from streams.errors import ConfigurationError
from training.evaluation.html import document
from training.evaluation.run import settings_of
from training.phases import StartPhase
from training.ranker.provenance import event_hashes, known_share
from training.value.planning import TIMED, Costs
from training.value.report import Data, ValueReport
from training.value.runner import Runner
from training.value.sections import SECTIONS, Limits, Section, Workplace
from training.value.study import SECONDS, Scope

PLAN = "plan.json"
_FROZEN = "It is the same with and without an asset, so a shop that never had the asset might lose less."
RANKERS = {
    "bundle": f"Its ranker is frozen. {_FROZEN}",
    "fitted": f"A ranker was fitted once, to all data before the test period, and then frozen. {_FROZEN}",
    "retrained": "A ranker was fitted to the data before the test period without each asset. Rows without sources and "
    "features, marked frozen, have the ranker that was fitted to all data.",
}
"""The origin of the ranker in words, by the option `--ranker`."""


class Kept(msgspec.Struct, kw_only=True):
    """The facts from which a second run makes the same plan: the digest of the first run, its costs and its times."""

    digest: str
    seconds: list[float]
    remaining_s: list[float]


@dataclass(frozen=True, slots=True)
class Finished:
    """A report and its sections."""

    report: ValueReport
    sections: Mapping[str, Section]


def value(
    runner: Runner, folder: Path, limits: Limits, chosen: frozenset[str], displays: Displays, digest: str
) -> Finished:
    """Make all chosen sections.

    Args:
        runner: runs the replays of the study.
        folder: the output folder.
        limits: the limits that the user sets.
        chosen: names of sections and kinds of assets.
        displays: progress, and a function that prints a sentence.
        digest: the digest of the inputs and of the limits: a second run with the same one repeats the first one's plan.

    Raises:
        ConfigurationError: the log has nothing to predict.
    """
    study = runner.study
    scope = Scope(min(TIMED.events, len(study.interactions)), min(TIMED.lists, limits.lists))
    part = study.part(scope)
    timed = study.whole_job(scope)
    study.encode_queries(scope)
    result = runner.result(timed, displays.start_phase("Timing a replay", len(part.log)))
    schedule = _Schedule(folder / PLAN, digest, result[SECONDS].tolist(), limits.minutes * 60)
    notes: list[str] = []
    sections: dict[str, Section] = {}

    def note(sentence: str) -> None:
        notes.append(sentence)
        displays.say(sentence)

    workplace = Workplace(
        study=study,
        runner=runner,
        folder=folder,
        chosen=chosen,
        limits=limits,
        costs=Costs.of(schedule.seconds, Scope(len(part.log), len(part.cases))),
        remaining_s=schedule.remaining_s,
        start_phase=displays.start_phase,
        note=note,
        ranker=displays.ranker,
        made=sections,
    )
    for name, spec in SECTIONS.items():
        section = spec.make(workplace)
        if section is not None:
            sections[name] = section
    if not sections:
        raise ConfigurationError(f"--only: required data for {', '.join(sorted(chosen))}, got none in this log")
    return Finished(_report(workplace, sections, notes, displays.now), sections)


@dataclass(frozen=True, slots=True)
class Displays:
    """The progress of phases, a function that prints a sentence, the time of the report, the origin of the ranker."""

    start_phase: StartPhase
    say: Callable[[str], None]
    now: datetime
    ranker: str = "bundle"


class _Schedule:
    """The seconds that are left, which are the same in a run that continues an interrupted one.

    Otherwise the second run would choose another part of the log, and none of the results would fit.
    """

    def __init__(self, path: Path, digest: str, seconds: list[float], limit_s: float) -> None:
        self._path, self._limit_s, self._began, self._asked = path, limit_s, monotonic(), 0
        found = _read(path)
        is_same = found is not None and found.digest == digest
        self._kept = found if found is not None and is_same else Kept(digest=digest, seconds=seconds, remaining_s=[])
        self.seconds: Sequence[float] = self._kept.seconds

    def remaining_s(self) -> float:
        """Return the seconds that are left at this point of the study."""
        if self._asked == len(self._kept.remaining_s):
            self._kept.remaining_s.append(max(self._limit_s - (monotonic() - self._began), 1.0))
            self._path.write_bytes(msgspec.json.encode(self._kept))
        self._asked += 1
        return self._kept.remaining_s[self._asked - 1]


def _read(path: Path) -> Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return None


def _report(workplace: Workplace, sections: Mapping[str, Section], notes: list[str], now: datetime) -> ValueReport:
    study, limits = workplace.study, workplace.limits
    log = study.interactions
    part = study.part(workplace.whole)
    tested = part.log.interactions[part.start :]
    fitted_to = study.bundle.manifest.fitted_to
    return ValueReport(
        protocol=study.options.protocol,
        measured_at=now.isoformat(),
        verdict=" ".join(section.sentence() for section in sections.values()),
        data=Data(
            items=len(study.items),
            events=len(log),
            shoppers=len({each.user_id for each in log}),
            sessions=len(np.unique(part.log.session)),
            since=log[0].occurred_at.isoformat(),
            tested_since=tested[0].occurred_at.isoformat(),
            until=log[-1].occurred_at.isoformat(),
        ),
        model={
            "name": study.bundle.name,
            "version": study.bundle.version,
            "vector_space": study.bundle.vector_space,
            "ranker": workplace.ranker,
            "known_share": 0.0 if study.options.retrained else known_share(fitted_to, event_hashes(tested)),
        },
        options={
            "protocol": study.options.protocol,
            "test_share": study.options.test_share,
            "seed": study.options.seed,
            "ranker": workplace.ranker,
            "k": study.options.k,
            "minutes": limits.minutes,
            "events": limits.events,
            "sample": limits.lists,
            "pairs": limits.pairs,
            "tolerance": limits.tolerance,
            "jobs": workplace.runner.jobs,
            "only": ",".join(sorted(workplace.chosen)),
        },
        settings=settings_of(study.settings),
        plan=notes,
        replays={"run": workplace.runner.ran, "found": workplace.runner.found},
        sections={name: section.to_json() for name, section in sections.items()},
    )


def page(finished: Finished) -> str:
    """Return the report as one HTML file that needs no network."""
    report = finished.report
    body = f"""<p class="verdict">{escape(report.verdict)}</p>
{"".join(f'<p class="lead">{escape(line)}</p>' for line in lead(report))}
<p class="lead">Measured {escape(report.measured_at[:16].replace("T", " "))} UTC. Each list was made before the events
that it predicts were learned. Intervals: 95%, bootstrap over shoppers, paired over the same lists.</p>
{"".join(section.html() for section in finished.sections.values())}
{_circumstances(report)}"""
    return document("Intentstream: the value of data", body)


def lead(report: ValueReport) -> list[str]:
    """Return the data, the model and the plan in sentences."""
    data, model = report.data, report.model
    lines = [
        f"{report.protocol}: {data.events:,} events of {data.shoppers:,} shoppers in {data.sessions:,} sessions, "
        f"{data.since[:10]} to {data.until[:10]}, {data.items:,} items. Tested from {data.tested_since[:16]} on.",
        f"Model {model['name']} {model['version']}. " + RANKERS[str(model["ranker"])],
    ]
    known = float(model["known_share"])
    if known > 0:
        lines.append(f"The ranker was fitted to about {known:.0%} of the tested events, so the figures are too high.")
    return [*lines, *(f"{each}." for each in report.plan)]


def show(finished: Finished, console: Console) -> None:
    """Print the report: the verdict first."""
    console.print(Text(finished.report.verdict, style="bold"))
    for line in lead(finished.report):
        console.print(line, highlight=False, markup=False)
    for section in finished.sections.values():
        for table in section.tables():
            console.print(table)


def _circumstances(report: ValueReport) -> str:
    parts = "".join(
        f"<h3>{name}</h3><p><code>{escape(', '.join(f'{key} {value}' for key, value in values.items()))}</code></p>"
        for name, values in (("options", report.options), ("settings", report.settings), ("model", report.model))
    )
    return f"<details><summary>Model, options and settings</summary>{parts}</details>"
