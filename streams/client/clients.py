"""The clients: a method for each route."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import httpx
from httpx_retries import Retry, RetryTransport

from inference.records import Item
from streams.assets.inventory import Inventory
from streams.client.calls import (
    Call,
    CategoryOptions,
    PlacedOptions,
    RankOptions,
    SearchOptions,
    SuggestOptions,
    T,
    get,
    part,
    post,
)
from streams.contracts.messages import Interaction
from streams.http.messages import (
    Accepted,
    DataFindings,
    ItemList,
    RankedItems,
    SearchResults,
    SuggestedQueries,
    UserList,
    UserProfile,
)

AGAIN = (429, 502, 503, 504)
"""Statuses after which a request is sent again. Reads change nothing, and an event or item that is sent again counts
once."""
LONGEST_WAIT_S = 2.0


def _settings(url: str, token: str | None, timeout_s: float) -> dict[str, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return {"base_url": url, "headers": headers, "timeout": timeout_s}


def _retrying(transport: httpx.BaseTransport | httpx.AsyncBaseTransport, retries: int) -> RetryTransport:
    retry = Retry(
        retries,
        allowed_methods=("GET", "POST"),
        status_forcelist=AGAIN,
        backoff_factor=0.2,
        max_backoff_wait=LONGEST_WAIT_S,
    )
    return RetryTransport(transport, retry)


class Client:
    """A client that blocks. Threads may share it.

    All methods raise ProblemError if the service refuses the request, and httpx.TransportError if there is no answer.

    Args:
        url: address of the service, such as `http://127.0.0.1:9200`.
        token: the client's token; None if the service has none configured.
        timeout_s: seconds for each step of a request: connecting, sending, and each read of the answer.
        retries: how often a request is sent again if there is no answer, or after 429, 502, 503 or 504.
        transport: the transport that sends requests, for example with certificates of your own.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 5.0,
        retries: int = 2,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        own = _retrying(transport or httpx.HTTPTransport(), retries)
        self._http = httpx.Client(transport=own, **_settings(url, token, timeout_s))

    def recommendations(self, user: str, **options: Unpack[PlacedOptions]) -> UserList:
        """Return a list for a shopper who arrives now."""
        return self._send(get(UserList, f"/v1/users/{part(user)}/recommendations", options))

    def profile(self, user: str) -> UserProfile:
        """Return what the service knows about a shopper."""
        return self._send(get(UserProfile, f"/v1/users/{part(user)}/profile", {}))

    def assets(self) -> Inventory:
        """Return the inventory of data assets."""
        return self._send(get(Inventory, "/v1/assets", {}))

    def findings(self) -> DataFindings:
        """Return what is wrong with the data that producers send."""
        return self._send(get(DataFindings, "/v1/assets/findings", {}))

    def related(self, item: str, **options: Unpack[PlacedOptions]) -> ItemList:
        """Return items that go with an item."""
        return self._send(get(ItemList, f"/v1/items/{part(item)}/related", options))

    def related_to_cart(self, items: Sequence[str], **options: Unpack[PlacedOptions]) -> ItemList:
        """Return items that go with the items of a cart."""
        return self._send(post(ItemList, "/v1/carts/related", {"items": items, **options}))

    def trending(self, **options: Unpack[CategoryOptions]) -> ItemList:
        """Return the items that most shoppers act on now."""
        return self._send(get(ItemList, "/v1/trending", options))

    def new(self, **options: Unpack[CategoryOptions]) -> ItemList:
        """Return the items that were released last."""
        return self._send(get(ItemList, "/v1/new", options))

    def search(self, q: str, **options: Unpack[SearchOptions]) -> SearchResults:
        """Return the items that suit a search."""
        return self._send(get(SearchResults, "/v1/search", {"q": q, **options}))

    def suggest(self, q: str = "", **options: Unpack[SuggestOptions]) -> SuggestedQueries:
        """Return queries that complete what the shopper has typed so far."""
        return self._send(get(SuggestedQueries, "/v1/suggest", {"q": q, **options}))

    def rank(self, items: Sequence[str], **options: Unpack[RankOptions]) -> RankedItems:
        """Return your own items in order."""
        return self._send(post(RankedItems, "/v1/rank", {"items": items, **options}))

    def publish_events(self, events: Sequence[Interaction]) -> Accepted:
        """Publish up to 1,000 events: all, or none if one breaks the contract."""
        return self._send(post(Accepted, "/v1/events", events))

    def publish_items(self, items: Sequence[Item]) -> Accepted:
        """Publish up to 1,000 items: all, or none if one breaks the contract."""
        return self._send(post(Accepted, "/v1/items", items))

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, call: Call[T]) -> T:
        return call.read(self._http.request(**call.arguments()))


class AsyncClient:
    """`Client` for asyncio: the same methods, as coroutines."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 5.0,
        retries: int = 2,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        own = _retrying(transport or httpx.AsyncHTTPTransport(), retries)
        self._http = httpx.AsyncClient(transport=own, **_settings(url, token, timeout_s))

    async def recommendations(self, user: str, **options: Unpack[PlacedOptions]) -> UserList:
        """Return a list for a shopper who arrives now."""
        return await self._send(get(UserList, f"/v1/users/{part(user)}/recommendations", options))

    async def profile(self, user: str) -> UserProfile:
        """Return what the service knows about a shopper."""
        return await self._send(get(UserProfile, f"/v1/users/{part(user)}/profile", {}))

    async def assets(self) -> Inventory:
        """Return the inventory of data assets."""
        return await self._send(get(Inventory, "/v1/assets", {}))

    async def findings(self) -> DataFindings:
        """Return what is wrong with the data that producers send."""
        return await self._send(get(DataFindings, "/v1/assets/findings", {}))

    async def related(self, item: str, **options: Unpack[PlacedOptions]) -> ItemList:
        """Return items that go with an item."""
        return await self._send(get(ItemList, f"/v1/items/{part(item)}/related", options))

    async def related_to_cart(self, items: Sequence[str], **options: Unpack[PlacedOptions]) -> ItemList:
        """Return items that go with the items of a cart."""
        return await self._send(post(ItemList, "/v1/carts/related", {"items": items, **options}))

    async def trending(self, **options: Unpack[CategoryOptions]) -> ItemList:
        """Return the items that most shoppers act on now."""
        return await self._send(get(ItemList, "/v1/trending", options))

    async def new(self, **options: Unpack[CategoryOptions]) -> ItemList:
        """Return the items that were released last."""
        return await self._send(get(ItemList, "/v1/new", options))

    async def search(self, q: str, **options: Unpack[SearchOptions]) -> SearchResults:
        """Return the items that suit a search."""
        return await self._send(get(SearchResults, "/v1/search", {"q": q, **options}))

    async def suggest(self, q: str = "", **options: Unpack[SuggestOptions]) -> SuggestedQueries:
        """Return queries that complete what the shopper has typed so far."""
        return await self._send(get(SuggestedQueries, "/v1/suggest", {"q": q, **options}))

    async def rank(self, items: Sequence[str], **options: Unpack[RankOptions]) -> RankedItems:
        """Return your own items in order."""
        return await self._send(post(RankedItems, "/v1/rank", {"items": items, **options}))

    async def publish_events(self, events: Sequence[Interaction]) -> Accepted:
        """Publish up to 1,000 events: all, or none if one breaks the contract."""
        return await self._send(post(Accepted, "/v1/events", events))

    async def publish_items(self, items: Sequence[Item]) -> Accepted:
        """Publish up to 1,000 items: all, or none if one breaks the contract."""
        return await self._send(post(Accepted, "/v1/items", items))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, call: Call[T]) -> T:
        return call.read(await self._http.request(**call.arguments()))
