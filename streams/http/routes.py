"""The table of routes. The application and the OpenAPI document are made of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from inference.types import Item
from streams.assets.inventory import Inventory
from streams.contracts.messages import Interaction
from streams.http import asset_handlers, handlers, messages, parameters
from streams.http.handlers import Backend, Call
from streams.http.owners import Answer

MOST_ENTRIES = 1000
"""Most entries of a request that writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSpec:
    """A route.

    Attributes:
        method, path: as in a request. Parameters in braces are ids, which may contain slashes.
        handler: function that answers it; its docstring documents the route.
        role: role that the client needs.
        answer: class of the answer.
        query, body: classes of the parameters and of the body, None for none.
        entry: class of the entries of a body, which is one entry or an array of them; None for another body.
        status: status of a successful answer.
        most_bytes: most bytes of a body, after decompression.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[Backend, Call], Awaitable[msgspec.Struct | Answer]]
    role: str
    answer: type[msgspec.Struct]
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    entry: Any = None
    status: HTTPStatus = HTTPStatus.OK
    most_bytes: int = 256 << 10


ROUTES = (
    RouteSpec(
        method="GET", path="/v1/users/{user}/recommendations", handler=handlers.recommendations, role="read",
        query=parameters.PlacedQuery, answer=messages.UserList,
    ),
    RouteSpec(
        method="GET", path="/v1/users/{user}/profile", handler=handlers.profile, role="admin",
        answer=messages.UserProfile,
    ),
    RouteSpec(
        method="GET", path="/v1/items/{item}/related", handler=handlers.related, role="read",
        query=parameters.PlacedQuery, answer=messages.ItemList,
    ),
    RouteSpec(
        method="POST", path="/v1/carts/related", handler=handlers.cart, role="read",
        body=parameters.CartBody, answer=messages.ItemList,
    ),
    RouteSpec(
        method="GET", path="/v1/trending", handler=handlers.trending, role="read",
        query=parameters.CategoryQuery, answer=messages.ItemList,
    ),
    RouteSpec(
        method="GET", path="/v1/new", handler=handlers.new, role="read",
        query=parameters.CategoryQuery, answer=messages.ItemList,
    ),
    RouteSpec(
        method="GET", path="/v1/search", handler=handlers.search, role="read",
        query=parameters.SearchQuery, answer=messages.SearchResults,
    ),
    RouteSpec(
        method="GET", path="/v1/suggest", handler=handlers.suggest, role="read",
        query=parameters.SuggestQuery, answer=messages.SuggestedQueries,
    ),
    RouteSpec(
        method="POST", path="/v1/rank", handler=handlers.rank, role="read",
        body=parameters.RankBody, answer=messages.RankedItems,
    ),
    RouteSpec(
        method="GET", path="/v1/assets", handler=asset_handlers.assets, role="admin", answer=Inventory,
    ),
    RouteSpec(
        method="GET", path="/v1/assets/findings", handler=asset_handlers.findings, role="admin",
        answer=messages.DataFindings,
    ),
    RouteSpec(
        method="POST", path="/v1/events", handler=handlers.events, role="write", status=HTTPStatus.ACCEPTED,
        entry=Interaction, answer=messages.Accepted, most_bytes=4 << 20,
    ),
    RouteSpec(
        method="POST", path="/v1/items", handler=handlers.items, role="write", status=HTTPStatus.ACCEPTED,
        entry=Item, answer=messages.Accepted, most_bytes=4 << 20,
    ),
)  # fmt: skip
