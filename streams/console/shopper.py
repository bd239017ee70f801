"""The Shopper page: a shopper's events, the list that answers the last one, and explanations of its items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from inference.plain_text import readable
from streams.console import cards, charts
from streams.console.access import Viewer
from streams.console.backend import ConsoleBackend
from streams.console.explain import shares_of, source_title
from streams.console.histories import ShopperHistory, ShownEvent
from streams.console.pages import View, go_to, render
from streams.console.shop import LONGEST_ID, LONGEST_QUERY
from streams.console.words import gettext
from streams.http.messages import UserProfile
from streams.http.problems import Refused

EVENTS, ITEMS, FEATURES = 18, 20, 14
CHARTED = 6
"""Most labels in the chart of intents."""
LEAST_SHARE = 0.25
"""Share at the top of the chart, if all labels are lighter."""
WHAT_IF = {"search": "searched", "click": "clicked", "cart": "put into the cart", "purchase": "bought"}
"""Actions that can be tried, and their words."""


async def page(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show a shopper's events, list and intents. Without a shopper, show the one that acted last."""
    user = request.query_params.get("user", "")[:LONGEST_ID]
    recent = backend.feed.histories.recent(30)
    if not user and recent:
        return go_to("shopper", user=recent[0])
    view = View(viewer, user, "shopper")
    profile = await backend.profile(viewer, user) if user else None
    return view.page(
        "shopper.html", **_parts(backend, user), profile=profile, past=_past(profile), shoppers=recent,
        problem=backend.feed.problem,
    )  # fmt: skip


async def live(backend: ConsoleBackend, viewer: Viewer, given: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Return the parts of the page that follow the shopper."""
    user = given.get("user", "")
    view = View(viewer, user, "shopper")
    values = _parts(backend, user)
    names = ("events", "intents", "list")
    return [(name, render(f"_shopper_{name}.html", view=view, **values)) for name in names]


async def why(backend: ConsoleBackend, request: Request, _viewer: Viewer) -> Response:
    """Explain an item of the shopper's list: its ranks in the sources, and what each feature contributed."""
    user, item_id = (request.query_params.get(name, "")[:LONGEST_ID] for name in ("user", "item"))
    history = backend.feed.histories.of(user)
    event = history.events[-1].interaction if history is not None and history.events else None
    found = await backend.as_if(user, event, ITEMS)
    place = next((place for place, each in enumerate(found.items) if each.item_id == item_id), None)
    if place is None:
        return HTMLResponse(render("_why.html", card=cards.card_of(backend.live, item_id), explanation=None))
    (card,), explanation = cards.cards_of(backend.live, [found.items[place]]), found.explanations[place]
    sources = [(source_title(each.name), each.rank) for each in explanation.sources]
    shares = shares_of(explanation, FEATURES)
    return HTMLResponse(render("_why.html", card=card, explanation=explanation, sources=sources, shares=shares))


async def what_if(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show the list as if the shopper acted on an item or searched. Nothing is stored."""
    user = request.query_params.get("user", "")[:LONGEST_ID]
    item_id, query = request.query_params.get("item", "")[:LONGEST_ID], request.query_params.get("q", "").strip()
    if query:
        kind, what = "search", readable(query[:LONGEST_QUERY])
    else:
        kind, what = request.query_params.get("type", "click"), cards.card_of(backend.live, item_id).title
    if kind not in WHAT_IF:
        required = gettext("required a type of %(types)s") % {"types": ", ".join(WHAT_IF)}
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid", required)
    event = ShownEvent(
        type=kind,
        event_id=backend.new_event_id(),
        user_id=user,
        occurred_at=backend.now(),
        item_id=None if query else item_id,
        query=query[:LONGEST_QUERY] or None,
    ).interaction
    found = await backend.as_if(user, event, ITEMS)
    history = backend.feed.histories.of(user)
    before = history.answers[-1].ranks if history is not None and history.answers else None
    return HTMLResponse(
        render(
            "_what_if.html",
            view=View(viewer, user, "shopper"),
            what=what,
            verb=gettext(WHAT_IF[kind]),
            kind=kind,
            item_id=item_id,
            cards=cards.cards_of(backend.live, found.items, before),
            intents=found.intents,
            fallback=found.fallback,
        )
    )


def _parts(backend: ConsoleBackend, user: str) -> dict[str, object]:
    feed, catalogue, owners = backend.feed, backend.live, backend.service.owners
    history = feed.histories.of(user) or ShopperHistory(user)
    answer = history.answers[-1] if history.answers else None
    message = answer.message if answer else None
    listed = message.items[:ITEMS] if message else ()
    steps = cards.steps_of(catalogue, history, EVENTS)
    after = next((step for step in steps if answer and step.event_id == answer.event_id), None)
    return {
        "steps": steps,
        "took_ms": answer.took_ms if answer else None,
        "fallback": message.fallback if message else None,
        "after": after,
        "is_here": owners.is_readable(user),
        "owner_url": owners.owner(user),
        "listed": cards.cards_of(catalogue, listed, cards.ranks_before(history.answers), history.bought_next),
        "intents": message.intent if message else (),
        "lines": charts.lines(_over_time(history), LEAST_SHARE),
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }


def _over_time(history: ShopperHistory) -> dict[str, list[float | None]]:
    """Return the weights of the heaviest intent labels after each event, oldest first, None where a list lacks it."""
    lists = [answer.categories for answer in history.answers]
    totals = Counter[str]()
    for categories in lists:
        totals.update(categories)
    now = lists[-1] if lists else {}
    # Those of the last list come first, so that they are always in the chart.
    labels = sorted(totals, key=lambda label: (-now.get(label, 0.0), -totals[label], label))[:CHARTED]
    return {label: [categories.get(label) for categories in lists] for label in labels}


def _past(profile: UserProfile | None) -> list[tuple[str, str, str]]:
    """Return what the profile knows of a shopper's actions before the feed began: time, action and title."""
    if profile is None:
        return []
    return [
        (_day(each.at), cards.verb_of(each.action), each.title or each.item_key or "") for each in profile.recent_items
    ]


def _day(at: str | None) -> str:
    if at is None:
        return ""
    try:
        return f"{datetime.fromisoformat(at).astimezone(UTC):%d %b %Y, %H:%M}"
    except ValueError:
        return at
