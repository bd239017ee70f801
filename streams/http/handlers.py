"""The functions behind the routes. Their docstrings are the texts of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from inference.ranking.sentences import Language
from inference.records import Facets
from inference.retrieval.filters import Filter
from inference.types import stable_key
from streams.asset_catalogue import AssetCatalogue
from streams.assets.monitor import QualityMonitor
from streams.contracts.refusals import UNREADABLE
from streams.errors import ProfileCodecError
from streams.http.candidates import CatalogueRequest
from streams.http.lists import MadeList, Matches
from streams.http.maker import ListMaker
from streams.http.messages import (
    Accepted,
    ItemList,
    RankedItems,
    SearchResults,
    SuggestedQueries,
    UserList,
    UserProfile,
)
from streams.http.owners import FORWARDED, Answer, Owners, Sent
from streams.http.parameters import MOST_ITEMS, CartBody, PlacedQuery, language_for
from streams.http.problems import Refused, unavailable, wrong_json
from streams.http.publishing import Publisher
from streams.http.queries import ListRequest
from streams.http.shopper import profile_of
from streams.http.suggesting import Suggesting
from streams.items.live import LiveCatalogue

LEVELS = " > "
"""Separator of the levels of a category in a parameter."""
NO_MATCHES = Matches(0, Facets())


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that is admitted and read.

    Attributes:
        path: parameters in the path.
        query: parameters behind it, an object of the route's class.
        body: the body, an object of the route's class; the JSON of each entry if the route has entries.
        sent: the request as it came, for the owner of a profile.
        client: name of the client; empty without tokens.
    """

    path: Mapping[str, str]
    query: Any
    body: Any
    sent: Sent
    client: str = ""

    @property
    def producer(self) -> str:
        """Name of the producer of published messages: the header `ce-source`, or else `http/` and the client."""
        return self.sent.headers.get("ce-source") or f"http/{self.client or 'local'}"

    def language(self, tag: str | None) -> Language | None:
        """Return the language of the reasons: that of the tag, or else of `Accept-Language`."""
        return language_for(tag, self.sent.headers.get("accept-language"))


@dataclass(slots=True, kw_only=True)
class Backend:
    """Parts of the worker that the routes use."""

    maker: ListMaker
    owners: Owners
    publisher: Publisher
    suggestions: Suggesting
    assets: AssetCatalogue
    quality: QualityMonitor
    list_size: int

    @property
    def live(self) -> LiveCatalogue:
        """The catalogue."""
        return self.maker.slots.current.live

    async def of_owner(self, user_id: str | None, call: Call) -> Answer | None:
        """Return the answer of the owner of a shopper's profile, None if this worker has to answer."""
        if user_id is None or self.owners.is_readable(user_id) or FORWARDED.lower() in call.sent.headers:
            return None
        return await self.owners.forward(user_id, call.sent)

    def limits(self, call: Call, asked: PlacedQuery | CartBody) -> dict[str, Any]:
        """Return the fields of a ListRequest that a caller sets directly. Raises Refused."""
        named = self.maker.slots.current.engine.placements.named
        if asked.placement not in named:
            names = ", ".join(sorted(named))
            detail = f"placement: required one of {names}; got {asked.placement}"
            raise Refused(HTTPStatus.BAD_REQUEST, "unknown-placement", detail)
        wanted = _filter_of(asked.filter) if isinstance(asked.filter, str) else asked.filter
        return {
            "k": asked.k or min(named[asked.placement].k or self.list_size, MOST_ITEMS),
            "exclude": asked.exclude,
            "placement": asked.placement,
            "filters": () if wanted is None else (wanted,),
            "language": call.language(asked.lang),
            "explains": asked.explain,
        }

    def known(self, item_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Return the ids that the catalogue has, each once."""
        return tuple(each for each in dict.fromkeys(item_ids) if self.live.served(stable_key(each)) is not None)


async def recommendations(backend: Backend, call: Call) -> UserList | Answer:
    """Return a list for a shopper who arrives now.

    It needs no event. A shopper without a history gets the list of a new visitor.
    """
    user_id = call.path["user"]
    if (answer := await backend.of_owner(user_id, call)) is not None:
        return answer
    request = ListRequest(user_id=user_id, **backend.limits(call, call.query))
    return UserList(user_id=user_id, **_fields(await backend.maker.make(request)))


async def profile(backend: Backend, call: Call) -> UserProfile | Answer:
    """Return what the service knows about a shopper, in words.

    404 if it knows nothing. 503 if the worker that holds the profile does not answer.
    """
    user_id = call.path["user"]
    if (answer := await backend.of_owner(user_id, call)) is not None:
        return answer
    if not backend.owners.is_readable(user_id):
        raise unavailable("no-profile", "the worker that holds the profile does not answer")
    stored = backend.owners.read(user_id)
    if stored is None:
        raise Refused(HTTPStatus.NOT_FOUND, "unknown-user", "nothing is known about this shopper")
    try:
        return profile_of(user_id, stored, backend.live)
    except ProfileCodecError:
        raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "damaged-profile", "the profile is unreadable") from None


async def related(backend: Backend, call: Call) -> ItemList:
    """Return items that go with an item: those that shoppers act on with it, and those that are like it.

    404 if the catalogue lacks the item.
    """
    seeds = _require_known(backend.known((call.path["item"],)))
    request = ListRequest(seeds=seeds, **backend.limits(call, call.query))
    return ItemList(**_fields(await backend.maker.make(request)))


async def cart(backend: Backend, call: Call) -> ItemList:
    """Return items that go with the items of a cart.

    Items that the catalogue lacks are left out; 404 if it lacks all.
    """
    seeds = _require_known(backend.known(call.body.items))
    request = ListRequest(seeds=seeds[::-1], action="chose", **backend.limits(call, call.body))
    return ItemList(**_fields(await backend.maker.make(request)))


async def trending(backend: Backend, call: Call) -> ItemList:
    """Return the items that most shoppers act on now, the same for everybody.

    `score` is the share of the most popular item's weight.
    """
    return await _in_catalogue_order(backend, call, "trending")


async def new(backend: Backend, call: Call) -> ItemList:
    """Return the items that were released last, the same for everybody.

    Items without `released_at`, or with one in the future, are left out. `score` is 1 / `rank`.
    """
    return await _in_catalogue_order(backend, call, "new")


async def search(backend: Backend, call: Call) -> SearchResults | Answer:
    """Return the items that suit a search, by its words and by its meaning; with `user`, by the shopper's taste too.

    Also returns how many items match the search, their facets, and related queries. With `matching`, items that do not
    match are left out, so the list may be shorter than `k`.
    """
    query = call.query
    if (answer := await backend.of_owner(query.user, call)) is not None:
        return answer
    limits = backend.limits(call, query)
    request = ListRequest(user_id=query.user, text=query.q, counts_matches=True, only_matches=query.matching, **limits)
    made = await backend.maker.make(request)
    matches = made.matches or NO_MATCHES
    return SearchResults(
        query=query.q,
        user_id=query.user,
        total=matches.total,
        facets=matches.facets,
        related=backend.suggestions.related(query.q),
        **_fields(made),
    )


async def suggest(backend: Backend, call: Call) -> SuggestedQueries | Answer:
    """Return queries that complete what a shopper types: searches of shoppers, and texts of the catalogue.

    Typing errors are corrected. With `user`, queries that suit the shopper's intent come first.
    """
    query = call.query
    if (answer := await backend.of_owner(query.user, call)) is not None:
        return answer
    known = backend.maker.known(query.user)
    return SuggestedQueries(q=query.q, suggestions=backend.suggestions.complete(query.q, query.k, known))


async def rank(backend: Backend, call: Call) -> RankedItems | Answer:
    """Put your own items in order, for example the results of your search engine.

    Items out of stock are ranked as well.
    """
    body = call.body
    if (answer := await backend.of_owner(body.user, call)) is not None:
        return answer
    known = backend.known(body.items)
    request = ListRequest(
        k=len(known),
        user_id=body.user,
        text=body.q,
        candidates=known,
        language=call.language(body.lang),
        explains=body.explain,
    )
    served = set(known)
    unknown = tuple(each for each in dict.fromkeys(body.items) if each not in served)
    return RankedItems(user_id=body.user, unknown=unknown, **_fields(await backend.maker.make(request)))


async def events(backend: Backend, call: Call) -> Accepted:
    """Publish events of shoppers: one, or an array of them.

    All are published, or none if one breaks the contract; 400 then has the reasons of each entry.
    """
    return Accepted(accepted=await backend.publisher.events(call.body, call.producer))


async def items(backend: Backend, call: Call) -> Accepted:
    """Publish items of the catalogue: one, or an array of them.

    All are published, or none if one breaks the contract; 400 then has the reasons of each entry.
    """
    return Accepted(accepted=await backend.publisher.items(call.body, call.producer))


async def _in_catalogue_order(backend: Backend, call: Call, order: Literal["trending", "new"]) -> ItemList:
    query = call.query
    request = CatalogueRequest(
        order=order,
        k=query.k or backend.list_size,
        category=tuple(level for each in query.category for level in each.split(LEVELS)),
        exclude=query.exclude,
        language=call.language(query.lang),
    )
    return ItemList(**_fields(await backend.maker.make(request)))


def _filter_of(text: str) -> Filter:
    try:
        return msgspec.json.decode(text, type=Filter)
    except UNREADABLE as error:
        raise wrong_json(error, text.encode(), Filter, "filter", "invalid-filter") from None


def _require_known(item_ids: tuple[str, ...]) -> tuple[str, ...]:
    if not item_ids:
        raise Refused(HTTPStatus.NOT_FOUND, "unknown-item", "required an item of the catalogue")
    return item_ids


def _fields(made: MadeList) -> dict[str, Any]:
    """Return the fields of an ItemList."""
    return {
        "items": made.items,
        "model": made.model,
        "fallback": made.fallback,
        "produced_at": made.produced_at,
    }
