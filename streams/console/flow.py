"""The Flow page: rates, latencies, lag and hit rates of the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from inference.plain_text import printable
from streams.console import cards, charts
from streams.console.access import Viewer
from streams.console.backend import ConsoleBackend
from streams.console.histories import FIRST, OUTCOMES_KEPT
from streams.console.pages import View, render
from streams.console.shop import LONGEST_ID
from streams.console.words import gettext
from streams.outcomes import FALLBACKS

MOMENTS = 8
LEAST_OUTCOMES = 30
"""Least number of actions for a hit rate."""
REASONS = {reason: reason.replace("_", " ") for reason in FALLBACKS}
"""Names of the reasons of fallbacks for people."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The last action of a shopper."""

    user: str
    step: cards.Step


async def page(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show the flow of events through the worker."""
    view = View(viewer, request.query_params.get("user", "")[:LONGEST_ID], "flow")
    shoppers = backend.feed.histories.recent(30)
    return view.page("flow.html", **_parts(backend), shoppers=shoppers, problem=backend.feed.problem)


async def live(backend: ConsoleBackend, viewer: Viewer, given: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Return the page's content."""
    view = View(viewer, given.get("user", ""), "flow")
    return [("flow", render("_flow.html", view=view, **_parts(backend)))]


def _parts(backend: ConsoleBackend) -> dict[str, object]:
    feed, owners = backend.feed, backend.service.owners
    histories, reading = feed.histories, backend.gauges.read()
    listed, popular, number = histories.hit_rates()
    return {
        "reading": reading,
        "fallbacks": [(gettext(REASONS.get(reason, reason)), value) for reason, value in reading.fallbacks],
        "owned": backend.gauges.owners(owners.distribution(), owners.own_url),
        "own_url": owners.own_url,
        "moments": _moments(backend),
        "letters": [
            {
                "topic": letter.topic,
                "place": f"{letter.partition}/{letter.offset}",
                "reason": letter.reason.replace("_", " "),
                "where": printable(letter.where),
                "at": f"{letter.failed_at:%H:%M:%S}",
            }
            for letter in reversed(histories.letters)
        ],
        "hits": None if number < LEAST_OUTCOMES else {"listed": listed, "popular": popular, "number": number},
        "first": FIRST,
        "most": OUTCOMES_KEPT,
        "hit_lines": charts.lines({gettext(label): hits for label, hits in histories.hits_over_time().items()}),
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }


def _moments(backend: ConsoleBackend) -> list[Moment]:
    """Return the last actions of the shoppers that acted last."""
    histories, found = backend.feed.histories, []
    for user in histories.recent(MOMENTS):
        history = histories.of(user)
        steps = cards.steps_of(backend.live, history, 1) if history is not None else []
        found += [Moment(user, step) for step in steps]
    return found
