"""The section on sessions: what one session, one shopper's data and one producer's stream are worth."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType

from inference.retrieval.sessions import NEIGHBOURS
from streams.settings import Settings
from streams.value.sessions import WORST, Age, Candidate, Consent, Group, SessionValues
from training.evaluation.figures import relation
from training.log import Log
from training.value import session_views
from training.value.sections import RunContext
from training.value.session_checks import (
    WORST_SHARE,
    chosen,
    planted,
    removals,
    whole_system_removals,
)
from training.value.session_kernels import Integers, Tally
from training.value.session_study import SessionStudy, mean_of, session_study

FILE = "worst-sessions.csv"
SHOWN = 20
"""Candidates in the report; the file has all."""
LISTS_PER_MINUTE = 800
"""Lists that sessions are valued by, for each minute that the study may take."""
AGES = (0, 1, 7, 30, 90, 180)
"""Ages in days at which a row of the table begins."""
COUNTS = ((1, 1, "1"), (2, 4, "2–4"), (5, 9, "5–9"), (10, 19, "10–19"), (20, None, "20+"))
ITEMS = ((2, 2, "2"), (3, 5, "3–5"), (6, 10, "6–10"), (11, 20, "11–20"), (21, None, "21+"))
MINUTE_MS, DAY_MS = 60_000, 86_400_000
MOST_PRODUCERS = 20

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SessionSection:
    """The section. `study` has the sessions and their values, for other sections."""

    found: SessionValues
    study: SessionStudy

    def to_json(self) -> object:
        """Return the values."""
        return self.found

    def sentence(self) -> str:
        """Say what the worst sessions do to later lists, and how many have a negative value."""
        found = self.found
        worst = next(each for each in found.removals if each.by == WORST and not each.whole)
        effect = "rises" if worst.change.low > 0 else "falls" if worst.change.high < 0 else "does not measurably change"
        return (
            f"Of {found.sessions:,} sessions, {found.negative:.0%} have a negative value; without the worst "
            f"{worst.share:.0%}, MRR@20 of similar visits {effect} ({relation(worst.relative)}). The tenth of the "
            f"shoppers with the highest values brings {found.consent.top:.0%} of all value."
        )

    def tables(self) -> Sequence[RenderableType]:
        """Return the tables of groups, ages, removals and planted sessions."""
        return session_views.tables(self.found)

    def html(self) -> str:
        """Return the tables and plots."""
        return session_views.html(self.found)


def study_of(context: RunContext) -> SessionStudy:
    """Return the sessions of the whole log, and as many lists as fit into the time."""
    part = context.study.part(context.full_scope)
    lists = round(LISTS_PER_MINUTE * context.limits.minutes)
    options = context.study.options
    return session_study(part.log, options.protocol, part.start, context.start_phase, options.seed, lists)


def session_values(context: RunContext) -> SessionSection | None:
    """Measure the value of sessions; None if no session before the test has two items."""
    study = study_of(context)
    if not len(study.known) or not len(study.valued.shoppers) or not len(study.tested.shoppers):
        return None
    context.note(
        f"Sessions: {len(study.known):,} are valued by {len(study.valued.shoppers):,} lists before the test, and "
        f"removed for {len(study.tested.shoppers):,} lists of the test"
    )
    tally = study.tally
    effects = [*removals(study), *whole_system_removals(context, study)]
    candidates = list(_candidates(study))
    _write(context.folder / FILE, study, candidates)
    values = tally.values[study.known]
    return SessionSection(
        SessionValues(
            lists=len(study.valued.shoppers),
            valued_since=_time(study.valued_ms),
            tested_since=_time(study.tested_ms),
            sessions=len(study.known),
            used=float((tally.uses[study.known] > 0).mean()),
            negative=float((values < 0).mean()),
            neighbours=NEIGHBOURS,
            utility=float(tally.values.sum() / len(study.valued.shoppers)),
            agreement=study.agreement(),
            stable=study.stability(),
            consent=consent(study),
            groups=groups(study, context.study.settings, context.study.part(context.full_scope).producers),
            ages=ages(tally),
            removals=effects,
            planted=list(planted(study)),
            candidates=[candidate for candidate, _ in candidates[:SHOWN]],
        ),
        study,
    )


def _candidates(study: SessionStudy) -> Iterator[tuple[Candidate, str]]:
    """Yield the sessions of the lowest values below 0, and their shoppers."""
    tally, log = study.tally, study.log
    first = np.full(study.whole.sessions, len(log), dtype=np.int64)
    np.minimum.at(first, log.session, np.arange(len(log)))
    lengths = {record.key: len(record.items) for record in study.whole.records}
    for session in chosen(study, WORST, WORST_SHARE).tolist():
        if tally.values[session] >= 0.0:
            return
        began = log.interactions[int(first[session])]
        yield (
            Candidate(
                session_id=began.session_id,
                began=began.occurred_at.isoformat(),
                items=lengths[session],
                lists=int(tally.uses[session]),
                value=float(tally.values[session]),
            ),
            began.user_id,
        )


def _write(path: Path, study: SessionStudy, candidates: Sequence[tuple[Candidate, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["session_id", "user_id", "began", "items", "lists", "value", "value_per_1000_lists"])
        for each, user_id in candidates:
            per_lists = 1000 * each.value / len(study.valued.shoppers)
            writer.writerow(
                [each.session_id, user_id, each.began, each.items, each.lists, f"{each.value:.5f}", f"{per_lists:.5f}"]
            )


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()


def groups(study: SessionStudy, settings: Settings, producers: Sequence[str]) -> list[Group]:
    """Return the groups of sessions that have more than one member kind.

    `producers` are those of the log's events.
    """
    known, owner = study.known, study.owner
    values, owners = study.tally.values[known], owner[known]
    sessions_of = np.bincount(owners, minlength=int(owner.max()) + 1)[owners]
    lengths = np.zeros(study.whole.sessions, dtype=np.int64)
    for record in study.whole.records:
        lengths[record.key] = len(record.items)
    parts: list[tuple[str, str, Bools]] = [
        *(("sessions of the shopper", name, part) for name, part in _by_count(sessions_of, COUNTS)),
        *(("items", name, part) for name, part in _by_count(lengths[known], ITEMS)),
    ]
    is_robot = robots(study.log, settings)[owners]
    if is_robot.any():
        parts += [("robots", "robots", is_robot), ("robots", "people", ~is_robot)]
    senders = producers_of(study.log, producers, study.whole.sessions)[known]
    names, counts = np.unique(senders, return_counts=True)
    if len(names) > 1:
        most = names[np.argsort(-counts, kind="stable")[:MOST_PRODUCERS]].tolist()
        parts += [("producer", name, senders == name) for name in most]
    total = float(values.sum())
    return [
        Group(
            by=by,
            name=name,
            sessions=int(part.sum()),
            shoppers=len(np.unique(owners[part])),
            share=float(values[part].sum() / total) if total else 0.0,
            per_session=mean_of(values[part], owners[part], study.seed),
            negative=float((values[part] < 0).mean()),
        )
        for by, name, part in parts
        if part.any()
    ]


def _by_count(counts: Integers, ranges: Sequence[tuple[int, int | None, str]]) -> Iterator[tuple[str, Bools]]:
    for least, most, name in ranges:
        yield name, (counts >= least) & (counts <= (counts if most is None else most))


def robots(log: Log, settings: Settings) -> Bools:
    """Return for each shopper whether they have more events in a minute or a day than a person makes, (shoppers,).

    The limits are those of the system, which learns nothing from such a shopper for the rest of that day.
    """
    learning = settings.learning
    found = np.zeros(int(log.user.max()) + 1, dtype=np.bool_)
    for span_ms, most in ((MINUTE_MS, learning.robot_events_per_minute), (DAY_MS, learning.robot_events_per_day)):
        spans = log.user.astype(np.int64) * (int(log.at_ms.max()) // span_ms + 1) + log.at_ms // span_ms
        _, places, counts = np.unique(spans, return_index=True, return_counts=True)
        found[log.user[places[counts > most]]] = True
    return found


def producers_of(log: Log, producers: Sequence[str], sessions: int) -> npt.NDArray[np.str_]:
    """Return the producer of each session's first event, (sessions,)."""
    names = [""] * sessions
    for session, producer in zip(log.session[::-1].tolist(), reversed(producers), strict=True):
        names[session] = producer
    return np.array(names)


def consent(study: SessionStudy) -> Consent:
    """Return the value of a shopper's sessions."""
    owners, values = study.owner[study.known], study.tally.values[study.known]
    shoppers, places = np.unique(owners, return_inverse=True)
    sums = np.bincount(places, weights=values).astype(np.float64)
    top = np.sort(sums)[::-1][: max(len(sums) // 10, 1)]
    return Consent(
        shoppers=len(shoppers),
        mean=mean_of(sums, shoppers, study.seed),
        quantiles={f"{each:g}": float(np.quantile(sums, each)) for each in (0.05, 0.25, 0.5, 0.75, 0.95)},
        top=float(top.sum() / sums.sum()) if sums.sum() else 0.0,
        negative=float((sums < 0).mean()),
    )


def ages(tally: Tally) -> list[Age]:
    """Return the value of sessions by their age at the time of the list."""
    total, uses = float(tally.by_age.sum()), int(tally.uses_by_age.sum())
    return [
        Age(
            since=since,
            until=until,
            share=float(tally.by_age[since:until].sum()) / total if total else 0.0,
            uses=float(tally.uses_by_age[since:until].sum()) / max(uses, 1),
        )
        for since, until in zip(AGES, (*AGES[1:], None), strict=True)
    ]
