"""The Shop pages: home, search, product and cart. Beside them, the list that answers the shopper's last action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from secrets import token_hex

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from inference.attributes.derive import derive
from inference.attributes.names import BRAND, CAPACITY, COLOUR, MATERIAL, MODEL, QUANTITY, SIZE
from inference.attributes.names import FACETS as ATTRIBUTE_FACETS
from inference.plain_text import readable
from inference.records import Facets, Item
from inference.retrieval.filters import Filter
from streams.console import cards
from streams.console.access import Viewer
from streams.console.backend import ConsoleBackend
from streams.console.cards import Card
from streams.console.histories import EVENTS_KEPT
from streams.console.pages import View, go_to, render
from streams.console.words import gettext
from streams.contracts.messages import Recommendations, RecommendedItem
from streams.http.handlers import LEVELS
from streams.http.messages import UserProfile
from streams.http.problems import Refused, filter_text

IN_HOME, IN_POPULAR, IN_RELATED, IN_CART, IN_LIVE = 12, 8, 8, 8, 10
SHOWN = 24
"""Results of a search on its page."""
FACETS = 8
CHOSEN = ("category", "brand", "price", *ATTRIBUTE_FACETS)
"""Parameters of a search that choose a value of a facet."""
SUGGESTED = 8
LONGEST_ID, LONGEST_QUERY = 128, 200


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a facet: the parameter's value, its text, and the number of items.

    `derived` items have the value from their texts only.
    """

    value: str
    text: str
    count: int
    derived: int = 0


ATTRIBUTES = {
    COLOUR: "Colour", SIZE: "Size", MATERIAL: "Material", CAPACITY: "Capacity", QUANTITY: "Quantity", MODEL: "Model",
}  # fmt: skip
"""The headings of the attributes that are derived."""


TYPES = {"click", "cart", "purchase", "search"}


async def home(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show the home page of a shopper: the list of a new visit, and popular items."""
    view = view_of(request, viewer)
    if not view.user:
        return go_to("", user=new_visitor())
    own, popular = await backend.for_shopper(viewer, view.user, IN_HOME), await backend.popular(IN_POPULAR)
    return view.page(
        "home.html",
        **_latest_list(backend, view),
        own=cards.cards_of(backend.live, own.items),
        own_ms=own.took_ms,
        is_known=await _is_known(backend, viewer, view.user),
        popular=cards.cards_of(backend.live, popular.items),
    )


async def search(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show the results of a search, with facets."""
    view = view_of(request, viewer)
    query = request.query_params.get("q", "").strip()[:LONGEST_QUERY]
    if not query:
        return go_to("", user=view.user)
    chosen = {name: request.query_params.get(name, "")[:LONGEST_QUERY] for name in CHOSEN}
    found = await backend.found(viewer, view.user or None, query, SHOWN, _filter_of(chosen))
    return view.page(
        "search.html",
        **_latest_list(backend, view),
        query=query,
        found=cards.cards_of(backend.live, found.items),
        total=found.total,
        took_ms=found.took_ms,
        chosen=chosen,
        facets=_facets(found.facets, chosen),
        related=[each for each in found.related if each != query],
    )


async def suggest(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Return the suggestions for what is typed so far: the options of the search box."""
    typed = request.query_params.get("q", "").strip()[:LONGEST_QUERY]
    texts = await backend.suggestions(viewer, request.query_params.get("user") or None, typed, SUGGESTED)
    return HTMLResponse(render("_suggestions.html", texts=texts))


async def item(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show an item with those that go with it."""
    view = view_of(request, viewer)
    item_id = request.query_params.get("id", "")[:LONGEST_ID]
    if not backend.has(item_id):
        raise Refused(HTTPStatus.NOT_FOUND, "unknown-item", gettext("The catalogue does not have this item."))
    related = await backend.related((item_id,), IN_RELATED)
    record = backend.live.record(item_id)
    return view.page(
        "item.html",
        **_latest_list(backend, view),
        item=cards.card_of(backend.live, item_id),
        path=record.item.category if record else (),
        description=record.item.description if record else None,
        attributes=_attributes(record.item, backend.derived) if record else [],
        related=cards.cards_of(backend.live, related.items),
        took_ms=related.took_ms,
    )


async def cart(backend: ConsoleBackend, request: Request, viewer: Viewer) -> Response:
    """Show the cart of a shopper: the items put into it in this session and not bought since."""
    view = view_of(request, viewer)
    in_cart = cart_of(await backend.profile(viewer, view.user)) if view.user and viewer.may_inspect else []
    suiting: Sequence[RecommendedItem] = ()
    took_ms = 0.0
    items = [record.item for each in in_cart if backend.has(each) and (record := backend.live.record(each))]
    if items:
        asked = await backend.related([each.item_id for each in items], IN_CART, "chose")
        suiting, took_ms = asked.items, asked.took_ms
    total, currencies = sum(each.price or 0.0 for each in items), {each.currency for each in items}
    return view.page(
        "cart.html",
        **_latest_list(backend, view),
        in_cart=[cards.card_of(backend.live, item_id) for item_id in in_cart],
        total=cards.price_text(total, currencies.pop()) if len(currencies) == 1 else "",
        suiting=cards.cards_of(backend.live, suiting),
        took_ms=took_ms,
    )


async def act(backend: ConsoleBackend, form: dict[str, str]) -> Response:
    """Publish an action of the viewer, and go to the page that a shop would show next."""
    user, kind = form.get("user", "")[:LONGEST_ID], form.get("type", "")
    if not user or kind not in TYPES:
        required = gettext("required a user, and a type of %(types)s") % {"types": ", ".join(sorted(TYPES))}
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid", required)
    if kind == "search":
        query = form.get("query", "").strip()[:LONGEST_QUERY]
        if not query:
            return go_to("", user=user)
        await backend.act(user, [{"type": kind, "query": query}])
        return go_to("search", q=query, user=user)
    # The cart sends all its items as lines of one field.
    item_ids = form.get("item", "").split("\n")
    fields = {"type": kind, **({"recommendation_id": form["list"]} if form.get("list") else {})}
    await backend.act(user, [{**fields, "item_id": item_id} for item_id in item_ids])
    if kind == "click":
        return go_to("item", id=item_ids[0], user=user)
    return go_to("cart", user=user)


async def live(backend: ConsoleBackend, viewer: Viewer, given: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    """Return the list beside the shop's pages."""
    view = View(viewer, given.get("user", ""), "shop")
    return [("list", render("_live.html", view=view, **_latest_list(backend, view)))]


def view_of(request: Request, viewer: Viewer) -> View:
    """Return what the pages of the shop show in common."""
    return View(viewer, request.query_params.get("user", "")[:LONGEST_ID], "shop")


def new_visitor() -> str:
    """Return the id of a shopper whom nobody knows."""
    return f"visitor-{token_hex(3)}"


def cart_of(profile: UserProfile | None) -> list[str]:
    """Return the items that a shopper put into the cart in this session and did not buy, oldest first."""
    if profile is None:
        return []
    # Both times are in UTC with milliseconds, in the same form, so they compare as texts.
    started = profile.session_started_at or ""
    return [
        each.item_id
        for each in reversed(profile.recent_items)
        if each.action == "cart" and each.item_id is not None and (each.at or "") >= started
    ]


async def _is_known(backend: ConsoleBackend, viewer: Viewer, user: str) -> bool:
    return viewer.may_inspect and await backend.profile(viewer, user) is not None


def _latest_list(backend: ConsoleBackend, view: View) -> dict[str, object]:
    """Return the values of the list beside the pages: the last answer on Kafka, and what it answers."""
    feed, live_catalogue = backend.feed, backend.live
    history = feed.histories.of(view.user)
    answer = history.answers[-1] if history is not None and history.answers else None
    message: Recommendations | None = None
    shown: list[Card] = []
    steps: list[cards.Step] = []
    if history is not None and answer is not None:
        before = cards.ranks_before(history.answers)
        message = answer.message
        shown = cards.cards_of(live_catalogue, message.items[:IN_LIVE], before, history.bought_next)
        # The newest event may not have its list yet.
        answered = answer.event_id
        steps = [step for step in cards.steps_of(live_catalogue, history, EVENTS_KEPT) if step.event_id == answered]
    return {
        "live_cards": shown,
        # Readers see lists. Only admins see what a shopper did, and the ids of active shoppers.
        "live_step": steps[0] if steps and view.viewer.may_inspect else None,
        "live_answer": message,
        "live_took_ms": answer.took_ms if answer is not None else None,
        "shoppers": feed.histories.recent(30) if view.viewer.may_inspect else (),
        "problem": feed.problem,
    }


def _attributes(item: Item, names: Sequence[str]) -> list[tuple[str, str, bool]]:
    """Return the attributes of an item with their names, the shop's own first, and whether they are derived.

    A brand depends on the whole catalogue, so it is derived for facets and filters only.
    """
    own = [(readable(name), readable(value), False) for name, value in item.attributes.items()]
    derived = derive(item, [name for name in names if name != BRAND])
    return own + [(gettext(ATTRIBUTES[each.name]), each.value, True) for each in derived]


def _filter_of(chosen: Mapping[str, str]) -> Filter:
    """Return the filter of the chosen facets. A range of prices is MIN:MAX:CURRENCY. Raises Refused."""
    fields: dict[str, object] = {}
    if chosen["category"]:
        fields["categories"] = (tuple(chosen["category"].split(LEVELS)),)
    if chosen["brand"]:
        fields["brands"] = (chosen["brand"],)
    if chosen["price"]:
        low, _, rest = chosen["price"].partition(":")
        high, _, currency = rest.partition(":")
        fields |= {"min_price": low, "max_price": high, **({"currency": currency} if currency else {})}
    if attributes := {name: (chosen[name],) for name in ATTRIBUTE_FACETS if chosen[name]}:
        fields["attributes"] = attributes
    try:
        return msgspec.convert(fields, Filter, strict=False)
    except msgspec.ValidationError as error:
        detail = gettext("The filter: %(error)s") % {"error": filter_text(error, fields)}
        raise Refused(HTTPStatus.BAD_REQUEST, "invalid-filter", detail) from None


def _facets(facets: Facets, chosen: Mapping[str, str]) -> list[tuple[str, str, list[Choice]]]:
    """Return the facets of a search: the parameter, the heading, and the choices of each."""
    categories = [Choice(LEVELS.join(each.path), readable(each.path[-1]), each.count) for each in facets.categories]
    brands = [Choice(each.brand, readable(each.brand), each.count, each.derived) for each in facets.brands]
    prices = [
        Choice(
            f"{each.min_price:g}:{each.max_price:g}:{each.currency or ''}",
            f"{cards.price_text(each.min_price, each.currency)} – {cards.price_text(each.max_price, each.currency)}",
            each.count,
        )
        for each in facets.prices
    ]
    rows = [
        ("category", gettext("Category"), categories),
        ("brand", gettext("Brand"), brands),
        ("price", gettext("Price"), prices),
    ]
    for facet in facets.attributes:
        values = [Choice(each.value, readable(each.value), each.count, each.derived) for each in facet.values]
        rows.append((facet.name, gettext(ATTRIBUTES[facet.name]), values))
    return [(name, title, choices[:FACETS]) for name, title, choices in rows if choices or chosen[name]]
