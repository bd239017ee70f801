"""The page Value: what each part of the shop's data is worth to the lists, by the report of `intentstream value`."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from inference.plain_text import printable
from streams.console.access import Viewer
from streams.console.backend import ConsoleBackend
from streams.console.numbers import number_text
from streams.console.pages import View
from streams.console.shop import LONGEST_ID
from streams.console.value_rows import (
    advice_of,
    counts_of,
    groups_of,
    most_valuable,
    scale_of,
    tables_of,
)
from streams.console.value_sessions import candidates_of, producers_of, removal_of, session_rows
from streams.console.value_words import (
    FAULTS,
    LOSSES,
    MODEL_NOTES,
    MODELS,
    PROTOCOLS,
    WHOLE,
    date_of,
    share_text,
    shown,
)
from streams.console.words import gettext
from streams.value.file import Problem
from streams.value.report import ValueReport

SETTING = "INTENTSTREAM_ASSETS_VALUE_FILE"
COMMAND = "intentstream value --catalog items.jsonl --events events.jsonl --output value"
OLD_DAYS = 90
"""A report of more days is marked as old."""
LONGEST_DETAIL = 400


async def page(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show the report, or what is wrong with its file, or how to make one."""
    found = await backend.values.read()
    view = View(viewer, request.query_params.get("user", "")[:LONGEST_ID], "value")
    if isinstance(found, ValueReport):
        return view.page("value.html", **_facts(found), **_parts(found), serving=_other_model(backend, found))
    problem = found if isinstance(found, Problem) else None
    return view.page(
        "value_none.html",
        path="" if backend.values.path is None else printable(str(backend.values.path)),
        problem="" if problem is None else gettext(FAULTS[problem.fault]),
        detail="" if problem is None else printable(problem.detail)[:LONGEST_DETAIL],
        setting=SETTING,
        command=COMMAND,
        shoppers=(),
    )


def _facts(report: ValueReport) -> dict[str, object]:
    """Return the data, the model and the metric of a report."""
    data, ranker = report.data, str(report.model.get("ranker", ""))
    assets, overlap = report.sections.assets, report.sections.overlap
    metric = assets.metric if assets is not None else overlap.metric if overlap is not None else ""
    whole = assets.whole.get(metric) if assets is not None else overlap.whole if overlap is not None else None
    known = report.model.get("known_share", 0.0)
    return {
        "shoppers": (),
        "measured": date_of(report.measured_at),
        "age": _age(report.measured_at),
        "is_old": _age(report.measured_at) > OLD_DAYS,
        "events": f"{data.events:,}",
        "people": f"{data.shoppers:,}",
        "items": f"{data.items:,}",
        "since": date_of(data.since),
        "until": date_of(data.until),
        "tested": date_of(data.tested_since),
        "model": shown(f"{report.model.get('name', '')} {report.model.get('version', '')}"),
        "retrained": gettext(MODELS[ranker]) if ranker in MODELS else shown(ranker),
        "model_note": gettext(MODEL_NOTES[ranker]) if ranker in MODEL_NOTES else "",
        "known": share_text(known) if isinstance(known, int | float) and known > 0 else "",
        "protocol": gettext(PROTOCOLS[report.protocol]) if report.protocol in PROTOCOLS else shown(report.protocol),
        "metric": metric,
        "whole": "–" if whole is None else share_text(whole.value),
        "whole_note": gettext(WHOLE[metric]) if metric in WHOLE else shown(metric),
        "loss_note": gettext(LOSSES[metric]) if metric in LOSSES else gettext(LOSSES["ndcg"]),
        "k": assets.k if assets is not None else shown(str(report.options.get("k", ""))),
        "lists": "" if assets is None else f"{assets.cases:,}",
    }


def _parts(report: ValueReport) -> dict[str, object]:
    """Return the sections of the page."""
    sessions, overlap, cost = report.sections.sessions, report.sections.overlap, report.sections.cost
    return {
        "best": most_valuable(report),
        "counts": counts_of(report),
        "advice": advice_of(report),
        "tables": tables_of(report),
        "widest": share_text(scale_of(report).most),
        "producers": producers_of(report),
        "groups": [] if overlap is None else groups_of(overlap),
        "sessions": None if sessions is None else f"{sessions.sessions:,}",
        "negative": "" if sessions is None else share_text(sessions.negative),
        "top": "" if sessions is None else share_text(sessions.consent.top),
        "session_rows": [] if sessions is None else session_rows(sessions),
        "candidates": [] if sessions is None else candidates_of(sessions),
        "removal": None if sessions is None else removal_of(sessions),
        "event_us": "" if cost is None else number_text(cost.event_us),
        "list_us": "" if cost is None else number_text(cost.list_us),
    }


def _age(measured_at: str) -> int:
    """Return the days since a time, 0 if it is none or in the future."""
    try:
        at = datetime.fromisoformat(measured_at)
    except ValueError:
        return 0
    return max((datetime.now(UTC) - (at if at.tzinfo else at.replace(tzinfo=UTC))).days, 0)


def _other_model(backend: ConsoleBackend, report: ValueReport) -> str:
    """Return the model that the worker serves if the report is about another one, else an empty text."""
    bundle = backend.service.maker.slots.current.bundle
    served = f"{bundle.name} {bundle.version}"
    measured = f"{report.model.get('name')} {report.model.get('version')}"
    # The version of a fitted ranker has a name of its own.
    same = bundle.name == report.model.get("name") if report.model.get("ranker") == "fitted" else served == measured
    return "" if same else served
