"""Producers and sessions on the page Value. A report names sessions, but no shoppers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.console.charts import Bar
from streams.console.value_rows import MOST_ROWS, Scale, scale_of
from streams.console.value_words import (
    EFFECTS,
    MEMBERS,
    SESSION_GROUPS,
    date_of,
    interval_text,
    share_text,
    shown,
    upper_first,
)
from streams.console.words import gettext
from streams.value.estimates import Estimate
from streams.value.report import AssetValue, Effect, ValueReport
from streams.value.sessions import WORST, Group, Removal, SessionValues

PRODUCER = "producer"
MANY_REPEATED = 0.01
"""A producer that repeats more than this share of its events is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerRow:
    """A producer.

    Attributes:
        name: as in its events.
        events: their number, "" if it is not known.
        repeated: share of them that repeat an earlier one under another id, "" for none.
        is_repeated: whether these are many.
        effect, effect_text, bar, loss, interval: what the lists lose without its events, as in `ValueRow`.
        per_session: value of its sessions, 1 for that of the mean session, "" if it is not known.
    """

    name: str
    events: str
    repeated: str
    is_repeated: bool
    effect: Effect
    effect_text: str
    bar: Bar | None
    loss: str
    interval: str
    per_session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A group of sessions: its part of the sessions and of their value, and the share of negative values."""

    by: str
    name: str
    sessions: str
    share: str
    bar: Bar
    negative: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """A session of the lowest value. `session` is "" without an id."""

    session: str
    began: str
    items: int
    lists: int
    value: str


def producers_of(report: ValueReport) -> list[ProducerRow]:
    """Return the producers, those of the most events first; none if the log has a single one."""
    assets, sessions, data = report.sections.assets, report.sections.sessions, report.data
    values: Mapping[str, AssetValue] = (
        {} if assets is None else {each.name: each for each in assets.values if each.kind == PRODUCER}
    )
    groups: Mapping[str, Group] = (
        {} if sessions is None else {each.name: each for each in sessions.groups if each.by == PRODUCER}
    )
    names = sorted({*values, *groups, *data.producers}, key=lambda name: (-data.producers.get(name, 0), name))
    if len(names) < 2 and not data.duplicates:
        return []
    metric, scale, mean = "" if assets is None else assets.metric, scale_of(report), mean_of(sessions)
    return [
        _producer(name, report, values.get(name), metric, scale, _relative(groups.get(name), mean))
        for name in names[:MOST_ROWS]
    ]


def mean_of(sessions: SessionValues | None) -> float:
    """Return the value of the mean session, 0 if it is not known."""
    return 0.0 if sessions is None else sessions.utility * sessions.lists / max(sessions.sessions, 1)


def session_rows(sessions: SessionValues) -> list[SessionRow]:
    """Return the groups of sessions, without producers, which have a table of their own."""
    found = [each for each in sessions.groups if each.by in SESSION_GROUPS][:MOST_ROWS]
    ends = [0.0, *(each.share for each in found)]
    scale = Scale(max(min(ends), -1.0), min(max(ends), 1.0) or 1.0)
    return [
        SessionRow(
            by=upper_first(gettext(SESSION_GROUPS[each.by])),
            name=gettext(MEMBERS[each.name]) if each.name in MEMBERS else shown(each.name),
            sessions=share_text(each.sessions / max(sessions.sessions, 1)),
            share=share_text(each.share),
            bar=scale.exact(each.share),
            negative=share_text(each.negative),
        )
        for each in found
    ]


def candidates_of(sessions: SessionValues) -> list[CandidateRow]:
    """Return the sessions of the lowest values, as multiples of the mean session's."""
    mean = mean_of(sessions)
    return [
        CandidateRow(
            session=shown(each.session_id or ""),
            began=date_of(each.began),
            items=each.items,
            lists=each.lists,
            value=_multiple(each.value / mean) if mean > 0 else f"{each.value:+.3g}",
        )
        for each in sessions.candidates[:MOST_ROWS]
    ]


def removal_of(sessions: SessionValues) -> tuple[str, str] | None:
    """Return the share of the worst sessions that were removed, and what similar visits gained; None if unknown."""
    found: Removal | None = next((each for each in sessions.removals if each.by == WORST and not each.whole), None)
    if found is None or found.before <= 0:
        return None
    change = found.change
    relative = Estimate(change.value / found.before, change.low / found.before, change.high / found.before)
    return share_text(found.share), f"{share_text(relative.value)} ({interval_text(relative)})"


def _producer(
    name: str, report: ValueReport, value: AssetValue | None, metric: str, scale: Scale, per_session: str
) -> ProducerRow:
    data = report.data
    events, repeated = data.producers.get(name, 0), data.duplicates.get(name, 0)
    effect: Effect = "unmeasured" if value is None else value.effect(metric)
    relative = None if value is None else value.relative
    part = repeated / events if events else 0.0
    return ProducerRow(
        name=shown(name),
        events=f"{events:,}" if events else "",
        repeated=share_text(part) if repeated else "",
        is_repeated=part > MANY_REPEATED,
        effect=effect,
        effect_text=gettext(EFFECTS[effect]),
        bar=scale.bar(relative),
        loss="–" if relative is None else share_text(relative.value),
        interval="" if relative is None else interval_text(relative),
        per_session=per_session,
    )


def _relative(group: Group | None, mean: float) -> str:
    return "" if group is None or mean <= 0 else _multiple(group.per_session.value / mean)


def _multiple(value: float) -> str:
    return f"{value:.2g}×".replace("-", "−")
