"""A complete study: the timed replay, the sections, and the report with its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import compress
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.text import Text

from streams.contracts.messages import Interaction
from streams.contracts.serde import encode_json
from streams.errors import ConfigurationError
from streams.value.costs import WorkerCosts
from streams.value.report import Data, Sections, ValueReport
from training.evaluation.html import document
from training.evaluation.run import settings_of
from training.phases import StartPhase
from training.ranker.provenance import event_hashes, known_share
from training.value.planning import PLAN, TIMED, Costs, Schedule
from training.value.runner import Runner
from training.value.sections import SECTIONS, Limits, RunContext, Section
from training.value.study import SECONDS, Scope

NAMED = 5
"""Producers that the sentence on duplicates names, at most."""
_FROZEN = "It is the same with and without an asset, so a shop that never had the asset might lose less."
RANKERS = {
    "bundle": f"Its ranker is frozen. {_FROZEN}",
    "fitted": f"A ranker was fitted once, to all data before the test period, and then frozen. {_FROZEN}",
    "retrained": "A ranker was fitted to the data before the test period without each asset. Rows without sources and "
    "features, marked frozen, have the ranker that was fitted to all data. Without the assets marked bundle, there is "
    "no list to fit a ranker to: those rows have the model's own, so their loss includes that of the fit.",
}
"""The origin of the ranker in words, by the option `--ranker`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A report and its sections."""

    report: ValueReport
    sections: Mapping[str, Section]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The request of a user.

    Attributes:
        folder: the output folder.
        chosen: names of sections and kinds of assets.
        limits: the limits that the user sets.
        ranker: the origin of the ranker: bundle, fitted or retrained.
        worker: the costs of a running worker; None without its metrics.
        digest: the digest of the inputs and of the limits: a second run with the same one repeats the first one's plan.
    """

    folder: Path
    chosen: frozenset[str]
    limits: Limits
    ranker: str
    worker: WorkerCosts | None
    digest: str


def value(runner: Runner, request: Request, start_phase: StartPhase, say: Callable[[str], None]) -> Finished:
    """Make all chosen sections.

    Args:
        runner: runs the replays of the study.
        request: what is measured.
        start_phase: starts the progress display of a phase.
        say: prints a sentence.

    Raises:
        ConfigurationError: the log has nothing to predict.
    """
    study = runner.study
    scope = Scope(min(TIMED.events, len(study.interactions)), min(TIMED.lists, request.limits.lists))
    part = study.part(scope)
    timed = study.baseline_job(scope)
    study.encode_queries(scope)
    result = runner.result(timed, start_phase("Timing a replay", len(part.log)))
    schedule = Schedule(request.folder / PLAN, request.digest, result[SECONDS].tolist(), request.limits.minutes * 60)
    notes: list[str] = []
    sections: dict[str, Section] = {}

    def note(sentence: str) -> None:
        notes.append(sentence)
        say(sentence)

    context = RunContext(
        study=study,
        runner=runner,
        folder=request.folder,
        chosen=request.chosen,
        limits=request.limits,
        costs=Costs.of(schedule.seconds, Scope(len(part.log), len(part.cases))),
        remaining_s=schedule.remaining_s,
        start_phase=start_phase,
        note=note,
        ranker=request.ranker,
        worker=request.worker,
        made=sections,
    )
    for name, spec in SECTIONS.items():
        section = spec.make(context)
        if section is not None:
            sections[name] = section
    if not sections:
        raise ConfigurationError(f"--only: required data for {', '.join(sorted(request.chosen))}, got none in this log")
    return Finished(_report(context, sections, notes), sections)


def _report(context: RunContext, sections: Mapping[str, Section], notes: list[str]) -> ValueReport:
    study, limits = context.study, context.limits
    log = study.interactions
    part = study.part(context.full_scope)
    replayed = part.log.interactions
    producers = study.part(Scope(len(log), 1)).producers
    tested = part.log.interactions[part.start :]
    fitted_to = study.bundle.manifest.fitted_to
    return ValueReport(
        protocol=study.options.protocol,
        measured_at=datetime.now(UTC).isoformat(),
        verdict=" ".join(section.sentence() for section in sections.values()),
        data=Data(
            items=len(study.items),
            events=len(replayed),
            shoppers=len(np.unique(part.log.user)),
            sessions=len(np.unique(part.log.session)),
            since=replayed[0].occurred_at.isoformat(),
            tested_since=tested[0].occurred_at.isoformat(),
            until=replayed[-1].occurred_at.isoformat(),
            producers=Counter(producers),
            duplicates=Counter(compress(producers, duplicates(log))),
        ),
        model={
            "name": study.bundle.name,
            "version": study.bundle.version,
            "vector_space": study.bundle.vector_space,
            "ranker": context.ranker,
            "known_share": 0.0 if study.options.retrained else known_share(fitted_to, event_hashes(tested)),
        },
        options={
            "protocol": study.options.protocol,
            "test_share": study.options.test_share,
            "seed": study.options.seed,
            "ranker": context.ranker,
            "k": study.options.k,
            "minutes": limits.minutes,
            "events": limits.events,
            "sample": limits.lists,
            "pairs": limits.pairs,
            "tolerance": limits.tolerance,
            "jobs": context.runner.jobs,
            "only": ",".join(sorted(context.chosen)),
        },
        settings=settings_of(study.settings),
        plan=notes,
        replays={"run": context.runner.ran, "found": context.runner.found},
        sections=Sections(**{name: section.to_json() for name, section in sections.items()}),  # type: ignore[arg-type]
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
    if data.duplicates:
        repeated = sum(data.duplicates.values())
        part = repeated / sum(data.producers.values())
        named = ", ".join(f"{number:,} of {data.producers[name]:,} of {name}" for name, number in worst_first(data))
        lines.append(
            f"{repeated:,} events of the log ({part:.1%}) repeat an earlier one under another event id, so they count "
            f"twice: {named}. Find out whether their producer retries with new ids."
        )
    known = float(model["known_share"])
    if known > 0:
        lines.append(f"The ranker was fitted to about {known:.0%} of the tested events, so the figures are too high.")
    return [*lines, *(f"{each}." for each in report.plan)]


def worst_first(data: Data) -> list[tuple[str, int]]:
    """Return the numbers of duplicates of at most NAMED producers, the one with the greatest share of them first."""
    return sorted(data.duplicates.items(), key=lambda entry: -entry[1] / data.producers[entry[0]])[:NAMED]


def duplicates(interactions: Sequence[Interaction]) -> list[bool]:
    """Return for each event whether an earlier one is equal in all fields but the event id and the context."""
    seen: set[bytes] = set()
    found = []
    for interaction in interactions:
        action = encode_json(msgspec.structs.replace(interaction, event_id="-", context={}))
        found.append(action in seen)
        seen.add(action)
    return found


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
