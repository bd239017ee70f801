"""Values of sessions by shopper, group of shoppers, producer and age. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from streams.settings import Settings
from training.bootstrap import resampled_means
from training.evaluation.estimates import estimate
from training.evaluation.report import Estimate
from training.log import Log
from training.value.session_kernels import Floats, Tally
from training.value.session_report import Age, Consent, Group
from training.value.session_study import Integers, SessionStudy

AGES = (0, 1, 7, 30, 90, 180)
"""Ages in days at which a row of the table begins."""
COUNTS = ((1, 1, "1"), (2, 4, "2–4"), (5, 9, "5–9"), (10, 19, "10–19"), (20, None, "20+"))
ITEMS = ((2, 2, "2"), (3, 5, "3–5"), (6, 10, "6–10"), (11, 20, "11–20"), (21, None, "21+"))
MINUTE_MS, DAY_MS = 60_000, 86_400_000
UNKNOWN = "unknown"
MOST_PRODUCERS = 20

Bools = npt.NDArray[np.bool_]


def groups(study: SessionStudy, settings: Settings) -> list[Group]:
    """Return the groups of sessions that have more than one member kind."""
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
    producers = producers_of(study.log, study.whole.sessions)[known]
    names, counts = np.unique(producers, return_counts=True)
    if len(names) > 1:
        most = names[np.argsort(-counts, kind="stable")[:MOST_PRODUCERS]].tolist()
        parts += [("producer", name, producers == name) for name in most]
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


def mean_of(values: Floats, clusters: Integers, seed: int) -> Estimate:
    """Return a mean with its interval over clusters."""
    return estimate(float(values.mean()), resampled_means(values[:, None], clusters, seed)[:, 0])


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


def producers_of(log: Log, sessions: int) -> npt.NDArray[np.str_]:
    """Return the producer of each session's first event, from its context; UNKNOWN without one, (sessions,)."""
    names = [UNKNOWN] * sessions
    for session, interaction in zip(log.session[::-1].tolist(), reversed(log.interactions), strict=False):
        producer = interaction.context.get("producer")
        names[session] = producer if isinstance(producer, str) and producer else UNKNOWN
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
