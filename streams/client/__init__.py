"""Clients of the HTTP service: `Client`, and `AsyncClient` for asyncio.

They need only msgspec and the extra `client`. They use the message classes of the service.
"""

from inference.records import Item
from inference.retrieval.filters import Conditions, Filter
from streams.client.calls import (
    CategoryOptions,
    ListOptions,
    PlacedOptions,
    ProblemError,
    RankOptions,
    SearchOptions,
    SuggestOptions,
)
from streams.client.clients import AsyncClient, Client
from streams.contracts.messages import Cart, Click, Interaction, Purchase, Search, View

__all__ = [
    "AsyncClient",
    "Cart",
    "CategoryOptions",
    "Click",
    "Client",
    "Conditions",
    "Filter",
    "Interaction",
    "Item",
    "ListOptions",
    "PlacedOptions",
    "ProblemError",
    "Purchase",
    "RankOptions",
    "Search",
    "SearchOptions",
    "SuggestOptions",
    "View",
]
