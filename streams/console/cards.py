"""Cards and steps: items and events in the form in which the pages show them. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from inference.plain_text import readable
from inference.types import Item, stable_key
from streams.console.explain import source_title
from streams.console.histories import AnsweringList, ShopperHistory, ShownEvent
from streams.console.words import gettext
from streams.contracts.messages import RecommendedItem
from streams.items.live import LiveCatalogue

HUES = 12
"""Colours of the placeholders of pictures. A category has always the same one."""
VERBS = {"search": "Searched", "view": "Viewed", "click": "Clicked", "cart": "Put into the cart", "purchase": "Bought"}
LAST = {
    "search": "After the last search",
    "view": "After the last view",
    "click": "After the last click",
    "cart": "After the last cart",
    "purchase": "After the last purchase",
}
"""Texts for the event that a list answers, for viewers who may not see it."""
FALLBACKS = {
    "deadline_exceeded": "Not ranked by the model: it took too long.",
    "scoring_failed": "Not ranked by the model: it failed.",
    "encoding_failed": "Ranked without the meaning of the search: its text could not be encoded.",
    "rate_limited": "The last ranked list again: the shopper sends very many events.",
    "no_profile": "Ranked without the profile: the worker that holds it does not answer.",
}
"""The words of a page for a list's `fallback`."""
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "¥"}


_UNIT = re.compile(r"(?<=\d) (?=[A-Za-z]{1,5}\b)")
"""The space between a number and its unit, at which no line may break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An item on a page.

    Attributes:
        item_id, title, category, brand, price, image, url: as in the catalogue; `price` is a text, unknown ones are "".
        list_price: the price before a reduction as a text, "" without one.
        hue, initial: colour and letter of the placeholder of a picture.
        rank, score, reason, sources: as in the list; `reason` is "" without one, and `sources` are titles.
        sentence: the reason, or a neutral sentence in the language of the reasons.
        change: "new" in the list, "up" or "down" by `places`, "" if unchanged or not compared.
        bought_next: whether a replayed shopper really bought the item next.
    """

    item_id: str
    title: str
    category: str = ""
    brand: str = ""
    price: str = ""
    list_price: str = ""
    image: str = ""
    url: str = ""
    hue: int = 0
    initial: str = ""
    rank: int = 0
    score: float = 0.0
    reason: str = ""
    sentence: str = ""
    sources: tuple[str, ...] = ()
    change: str = ""
    places: int = 0
    bought_next: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An event on a page: its type and words, the item or the search, and the rank in the list before it."""

    event_id: str
    type: str
    verb: str
    what: str
    item_id: str | None
    day: str
    rank: int | None
    took_ms: float | None


def price_text(price: float | None, currency: str | None) -> str:
    """Return a price as a text, an empty one if it is unknown."""
    if price is None:
        return ""
    amount = f"{price:,.2f}"
    return f"{SYMBOLS[currency]}{amount}" if currency in SYMBOLS else f"{amount} {currency or ''}".strip()


def card_of(live: LiveCatalogue, item_id: str) -> Card:
    """Return the card of an item; one that left the catalogue has only its id."""
    record = live.record(item_id)
    return Card(item_id=item_id, title=item_id, initial="?") if record is None else _card(record.item)


def cards_of(
    live: LiveCatalogue,
    items: Iterable[RecommendedItem],
    before: Mapping[str, int] | None = None,
    bought_next: Collection[str] = (),
) -> list[Card]:
    """Return the cards of a list. `before` has the ranks of the list that it is compared with."""
    return [_listed(card_of(live, each.item_id), each, before, each.item_id in bought_next) for each in items]


def steps_of(live: LiveCatalogue, history: ShopperHistory, number: int) -> list[Step]:
    """Return the last events of a shopper, newest first."""
    took = {answer.event_id: answer.took_ms for answer in history.answers}
    return [
        Step(
            event_id=event.event_id,
            type=event.type,
            verb=verb_of(event.type),
            what=subject_of(live, event),
            item_id=event.item_id,
            day=f"{event.occurred_at:%d %b %Y, %H:%M}",
            rank=history.ranks.get(event.event_id),
            took_ms=took.get(event.event_id),
        )
        for event in list(history.events)[: -number - 1 : -1]
    ]


def verb_of(action: str) -> str:
    """Return the verb of an event's type in the language of the page."""
    return gettext(VERBS.get(action, action))


def subject_of(live: LiveCatalogue, event: ShownEvent) -> str:
    """Return the title of an event's item, or the text of its search."""
    return card_of(live, event.item_id).title if event.item_id is not None else readable(event.query or "")


def ranks_before(answers: Collection[AnsweringList]) -> Mapping[str, int] | None:
    """Return the ranks of the items in the last list but one."""
    return list(answers)[-2].ranks if len(answers) > 1 else None


def _card(item: Item) -> Card:
    title, category = _UNIT.sub("\u00a0", readable(item.title)), readable(item.label or "")
    return Card(
        item_id=item.item_id,
        title=title,
        category=category,
        brand=readable(item.brand or ""),
        price=price_text(item.price, item.currency),
        list_price=price_text(item.list_price, item.currency) if _is_reduced(item) else "",
        image=item.image_url or "",
        url=item.url or "",
        hue=stable_key(category) % HUES,
        initial=next((letter for letter in category or title if letter.isalnum()), "?").upper(),
    )


def _is_reduced(item: Item) -> bool:
    return item.price is not None and item.list_price is not None and item.list_price > item.price


def _listed(card: Card, listed: RecommendedItem, before: Mapping[str, int] | None, bought_next: bool) -> Card:
    former = None if before is None else before.get(listed.item_id)
    change, places = "", 0
    if before is not None and former is None:
        change = "new"
    elif former is not None and former != listed.rank:
        change, places = ("up" if former > listed.rank else "down"), abs(former - listed.rank)
    return replace(
        card,
        rank=listed.rank,
        score=listed.score,
        reason=listed.reason if listed.because.kind is not None else "",
        sentence=listed.reason,
        sources=tuple(source_title(name) for name in listed.sources),
        change=change,
        places=places,
        bought_next=bought_next,
    )
