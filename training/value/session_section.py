"""The section on sessions: what one session, one shopper's data and one producer's stream are worth."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import RenderableType

from inference.retrieval.sessions import NEIGHBOURS
from streams.replay import Replay
from training.evaluation.figures import relation
from training.evaluation.metrics import at_k, gains
from training.evaluation.system_pass import item_numbers
from training.value import session_views
from training.value.rankings import whole
from training.value.removal import Kept
from training.value.replayed import ListPass, moments
from training.value.sections import Workplace
from training.value.session_groups import ages, consent, groups
from training.value.session_kernels import Floats
from training.value.session_planting import planted
from training.value.session_removal import RANDOM, WORST, chosen, removal, removals
from training.value.session_report import Candidate, Removal, SessionValues
from training.value.session_study import Integers, SessionStudy, session_study
from training.value.study import Part, Progress, Scope

FILE = "worst-sessions.csv"
WORST_SHARE = 0.01
"""Share of the sessions that are named as candidates for removal."""
SHOWN = 20
"""Candidates in the report; the file has all."""
LISTS_PER_MINUTE = 800
"""Lists that sessions are valued by, for each minute that the study may take."""
REPLAYED_SHARE = 0.4
"""Share of the time that is left in which the whole system may be replayed without the worst sessions."""


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


def study_of(workplace: Workplace) -> SessionStudy:
    """Return the sessions of the whole log, and as many lists as fit into the time."""
    part = workplace.study.part(workplace.whole)
    lists = round(LISTS_PER_MINUTE * workplace.limits.minutes)
    options = workplace.study.options
    return session_study(part.log, options.protocol, part.start, workplace.start_phase, options.seed, lists)


def session_values(workplace: Workplace) -> SessionSection | None:
    """Measure the value of sessions; None if no session before the test has two items."""
    study = study_of(workplace)
    if not len(study.known) or not len(study.valued.shoppers) or not len(study.tested.shoppers):
        return None
    workplace.note(
        f"Sessions: {len(study.known):,} are valued by {len(study.valued.shoppers):,} lists before the test, and "
        f"removed for {len(study.tested.shoppers):,} lists of the test"
    )
    tally = study.tally
    effects = [*removals(study), *_of_the_whole_system(workplace, study)]
    candidates = list(_candidates(study))
    _write(workplace.folder / FILE, study, candidates)
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
            groups=groups(study, workplace.study.settings),
            ages=ages(tally),
            removals=effects,
            planted=list(planted(study)),
            candidates=[candidate for candidate, _ in candidates[:SHOWN]],
        ),
        study,
    )


def _of_the_whole_system(workplace: Workplace, study: SessionStudy) -> Iterator[Removal]:
    """Yield the effects on the lists of the whole system of removing all events of the worst and of random sessions."""
    scope = workplace.whole
    part = workplace.study.part(scope)
    needed_s = 3 * workplace.costs.seconds(Scope(len(part.log), len(part.cases)))
    if needed_s > REPLAYED_SHARE * workplace.remaining_s():
        workplace.note("The whole system was not replayed without the worst sessions: it takes too long (--minutes)")
        return
    advance = workplace.start_phase("Replays without sessions", 3 * len(part.log))
    nothing = np.zeros(0, dtype=np.int64)
    before = _reciprocal_ranks(workplace, part, nothing, advance)
    for by in (WORST, RANDOM):
        sessions = chosen(study, by, WORST_SHARE)
        after = _reciprocal_ranks(workplace, part, sessions, advance)
        yield removal(study, (by, WORST_SHARE), len(sessions), before, after, part.cases.user, whole=True)


def _reciprocal_ranks(workplace: Workplace, part: Part, sessions: Integers, advance: Progress) -> Floats:
    """Replay the system without the events of some sessions, and return the reciprocal rank of each case."""
    study, log = workplace.study, part.log
    numbers = np.flatnonzero(~np.isin(log.session, sessions))
    kept = Kept([log.interactions[number] for number in numbers.tolist()], numbers)
    replay = Replay(study.settings, study.bundle, study.records())
    listed = ListPass(replay, item_numbers(replay, log), study.options.k, whole).run(
        kept, moments(log, part.cases, kept), 0, advance
    )
    targets = part.cases.targets
    return at_k(gains(listed.lists[""], targets), targets, study.options.k)["mrr"]


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
