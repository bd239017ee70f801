"""The Data page: the streams with their quality, and a page of each stream. It shows no shopper's data.

It reads the profiles that the worker holds anyway. Without an open page nothing is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from time import time

from starlette.requests import Request
from starlette.responses import Response

from inference.plain_text import printable
from streams.assets.fields import REFUSED
from streams.assets.history import HOURS, WINDOWS_MS
from streams.assets.profile import DELAY, SIZE, Stream, StreamProfile
from streams.console import charts
from streams.console.access import Viewer
from streams.console.backend import ConsoleBackend
from streams.console.data_fields import box_of, fields_of
from streams.console.data_findings import cards_of, learned
from streams.console.data_streams import Counts, hourly, marks_of, reasons_of, timeline, type_title
from streams.console.pages import View, render
from streams.console.shop import LONGEST_ID
from streams.console.words import current_language, gettext
from streams.http.problems import Refused

LONGEST_NAME = 300


async def page(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show all streams."""
    return _view(request.query_params, viewer).page("data.html", **_parts(backend), shoppers=())


async def live(backend: ConsoleBackend, viewer: Viewer, given: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Return the parts of the page."""
    view, values = _view(given, viewer), _parts(backend)
    names = ("findings", "streams")
    return [(name, render(f"_data_{name}.html", view=view, **values)) for name in names]


async def stream(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show the fields of a stream. Raises Refused if nothing came of it in the last hours."""
    given = request.query_params
    parts = _stream_parts(backend, _stream_of(given))
    if parts is None:
        detail = gettext("This stream sent no messages in the last %(hours)s hours.") % {"hours": HOURS}
        raise Refused(HTTPStatus.NOT_FOUND, "unknown-stream", detail)
    return _view(given, viewer).page("data_stream.html", **parts, shoppers=())


async def stream_live(backend: ConsoleBackend, viewer: Viewer, given: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Return the content of a stream's page."""
    parts = _stream_parts(backend, _stream_of(given))
    return [] if parts is None else [("stream", render("_data_stream.html", view=_view(given, viewer), **parts))]


def _view(given: Mapping[str, str], viewer: Viewer) -> View:
    return View(viewer, given.get("user", "")[:LONGEST_ID], "data")


def _parts(backend: ConsoleBackend) -> dict[str, object]:
    assets = backend.assets
    return {
        "overview": backend.streams.overview(current_language()),
        "findings": cards_of(assets.quality.findings, time() * 1e3),
        "learned": learned(assets.quality, assets.settings.assets.reference_minutes),
        "is_on": assets.is_on,
        "every": assets.settings.assets.interval_seconds,
        "hours": HOURS,
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }


def _stream_of(given: Mapping[str, str]) -> Stream:
    return Stream(*(given.get(name, "")[:LONGEST_NAME] for name in Stream._fields))


def _stream_parts(backend: ConsoleBackend, of: Stream) -> dict[str, object] | None:
    """Return the content of a stream's page, None if nothing came of it in the last hours."""
    history = backend.assets.history
    if (hours := history.last_hours(only=of).get(of)) is None:
        return None
    findings = [each for each in backend.assets.quality.findings if each.stream == of]
    now = history.window(WINDOWS_MS / 1e3, only=of).get(of)
    counts = _counts(now or StreamProfile())
    minutes, by_hour = timeline(history.intervals(), history.newest_ms)[of], hourly(history, of, HOURS)
    delay, size = ((now or hours).columns.get(name) for name in (DELAY, SIZE))
    return {
        "of": of,
        "title": _title(of),
        "findings": cards_of(findings, time() * 1e3),
        "profile": hours,
        "is_refused": of.type == REFUSED,
        "shares_of": reasons_of(counts) if of.type == REFUSED else marks_of(counts),
        "recent": counts.messages,
        "delay": box_of(delay) if delay else None,
        "delays": delay.quantiles((0.5, 0.99)) if delay else None,
        "size": size.quantiles((0.5,)) if size else None,
        "fields": fields_of(of.type, now, hours),
        "minutes": charts.sparkline(minutes),
        "top_minute": max(minutes),
        "by_hour": charts.sparkline(by_hour) if len(history.hours()) > 1 else [],
        "top_hour": max(by_hour),
        "window": WINDOWS_MS // 60_000,
        "hours": HOURS,
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }


def _title(of: Stream) -> str:
    title = type_title(of.type)
    return gettext("%(type)s of %(producer)s") % {
        "type": title[:1].upper() + title[1:],
        "producer": printable(of.producer),
    }


def _counts(profile: StreamProfile) -> Counts:
    return Counts(messages=profile.messages, outcomes=profile.outcomes, marks=profile.marks)
