"""The interface between the pages and the worker: lists, profiles and suggestions, and a viewer's actions as events.

Requests stay in this process unless another worker owns the shopper's profile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from time import perf_counter
from typing import TypeVar
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec

from inference.records import Facets
from inference.retrieval.filters import Filter
from inference.types import stable_key
from streams.console.access import Viewer
from streams.console.data_streams import StreamsReader
from streams.console.explain import AsIf, as_if
from streams.console.feed import Feed
from streams.console.gauges import Gauges
from streams.console.histories import AnsweringList
from streams.console.words import gettext
from streams.contracts.messages import Interaction, RecommendedItem
from streams.http.candidates import CatalogueRequest
from streams.http.handlers import NO_MATCHES, Backend, Call
from streams.http.handlers import profile as profile_handler
from streams.http.lists import MadeList
from streams.http.messages import ItemList, SearchResults, SuggestedQueries, UserProfile
from streams.http.owners import Answer, Sent
from streams.http.problems import Refused, unavailable
from streams.http.queries import ListRequest
from streams.items.live import LiveCatalogue
from streams.value.file import ReportFile
from streams.worker.asset_path import AssetPath

CONSOLE = "console"
"""Name of the console as a producer."""
WAIT_S = 1.5
"""Longest time that an action waits for its list before the next page is shown."""
T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class TimedList:
    """A list on request. `took_ms` is the time in which the worker made it."""

    items: tuple[RecommendedItem, ...]
    fallback: str | None
    took_ms: float


@dataclass(frozen=True, slots=True)
class TimedResults(TimedList):
    """The results of a search: how many items match it, their facets, and related searches."""

    total: int
    facets: Facets
    related: tuple[str, ...]


@dataclass(slots=True)
class ConsoleBackend:
    """The parts of the worker that the pages need."""

    service: Backend
    feed: Feed
    gauges: Gauges
    assets: AssetPath
    values: ReportFile
    streams: StreamsReader = field(init=False)

    def __post_init__(self) -> None:
        self.streams = StreamsReader(self.assets.history, self.assets.settings.topics.consumed)

    @property
    def live(self) -> LiveCatalogue:
        """The catalogue."""
        return self.service.live

    @property
    def derived(self) -> Sequence[str]:
        """The attributes that are derived where items lack them."""
        return self.service.maker.slots.current.scoring.recommender.catalogue.derived

    def has(self, item_id: str) -> bool:
        """Return whether the catalogue has an item."""
        return self.live.served(stable_key(item_id)) is not None

    async def for_shopper(self, viewer: Viewer, user_id: str, k: int) -> TimedList:
        """Return the list of a shopper who arrives now."""
        began = perf_counter()
        target = f"/v1/users/{quote(user_id, safe='')}/recommendations?k={k}"
        made: ItemList | MadeList | None = await self._of_owner(viewer, user_id, target, ItemList)
        if made is None:
            made = await self.service.maker.make(ListRequest(k=k, user_id=user_id, at_ms=self._now_ms()))
        return TimedList(made.items, made.fallback, _since(began))

    async def found(self, viewer: Viewer, user_id: str | None, query: str, k: int, wanted: Filter) -> TimedResults:
        """Return the results of a search, personalised for a known shopper, with their total and facets."""
        began = perf_counter()
        parameters = {"q": query, "k": k, "filter": msgspec.json.encode(wanted).decode()}
        parameters |= {} if user_id is None else {"user": user_id}
        answer = await self._of_owner(viewer, user_id, f"/v1/search?{urlencode(parameters)}", SearchResults)
        if answer is not None:
            found = (answer.total, answer.facets, answer.related)
            return TimedResults(answer.items, answer.fallback, _since(began), *found)
        request = ListRequest(
            k=k, user_id=user_id, text=query, filters=(wanted,), counts_matches=True, at_ms=self._now_ms()
        )
        made = await self.service.maker.make(request)
        matches = made.matches or NO_MATCHES
        related = self.service.suggestions.related(query)
        return TimedResults(made.items, made.fallback, _since(began), matches.total, matches.facets, related)

    async def related(self, item_ids: Sequence[str], k: int, action: str | None = None) -> TimedList:
        """Return items that go with the given ones. `item_ids` are in the order in which they were chosen."""
        return await self._made(ListRequest(k=k, seeds=tuple(item_ids)[::-1], action=action, at_ms=self._now_ms()))

    async def popular(self, k: int) -> TimedList:
        """Return the items that most shoppers act on now."""
        return await self._made(CatalogueRequest(order="trending", k=k))

    async def suggestions(self, viewer: Viewer, user_id: str | None, typed: str, k: int) -> list[str]:
        """Return queries that complete a typed text. Those near the shopper's intent rank higher."""
        parameters = {"q": typed, "k": k, **({} if user_id is None else {"user": user_id})}
        answer = await self._of_owner(viewer, user_id, f"/v1/suggest?{urlencode(parameters)}", SuggestedQueries)
        if answer is not None:
            return [each.text for each in answer.suggestions]
        service = self.service
        found = service.suggestions.complete(typed, k, service.maker.known(user_id), self._now_ms())
        return [each.text for each in found]

    async def profile(self, viewer: Viewer, user_id: str) -> UserProfile | None:
        """Return what the service knows about a shopper, None if it knows nothing."""
        target = f"/v1/users/{quote(user_id, safe='')}/profile"
        try:
            found = await profile_handler(self.service, _call(viewer, target, {"user": user_id}))
            return _decoded(found, UserProfile) if isinstance(found, Answer) else found
        except Refused as refused:
            if refused.problem.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def act(self, user_id: str, given: Sequence[Mapping[str, object]]) -> AnsweringList | None:
        """Publish a shopper's actions, and return the list that answers the last one, None if it takes too long.

        Raises Refused if an action breaks the contract.
        """
        at = self.now()
        events = [
            {"event_id": self.new_event_id(), "user_id": user_id, "occurred_at": at.isoformat(), **fields}
            for fields in given
        ]
        # Before the events are sent: the list may be there before the brokers confirm them.
        expected = self.feed.expect(str(events[-1]["event_id"]))
        try:
            await self.service.publisher.events([msgspec.json.encode(event) for event in events], CONSOLE)
            async with asyncio.timeout(WAIT_S):
                return await expected
        except TimeoutError:
            return None
        finally:
            expected.cancel()

    async def as_if(self, user_id: str, event: Interaction | None, k: int) -> AsIf:
        """Return the list as if a shopper did `event`, with explanations; without an event, as if a visit began.

        Nothing is stored. Raises Refused if another worker holds the shopper's profile.
        """
        service = self.service
        # No await between the read and the submission: partitions change owners on the event loop.
        if not service.owners.is_readable(user_id):
            url = service.owners.owner(user_id) or gettext("it is moving right now")
            raise unavailable("no-profile", gettext("Another worker holds this profile: %(url)s.") % {"url": url})
        servable, stored = service.maker.slots.current, service.owners.read(user_id)
        return await asyncio.get_running_loop().run_in_executor(
            servable.scoring.thread, as_if, servable, user_id, stored, event, self._now_ms(), k
        )

    def new_event_id(self) -> str:
        """Return an id that no profile knows."""
        return f"console-{uuid4()}"

    def now(self) -> datetime:
        """Return the current time, or the time of the replay during a replay."""
        return self.feed.histories.clock.time(datetime.now(UTC))

    def _now_ms(self) -> int:
        return int(self.now().timestamp() * 1e3)

    async def _made(self, request: ListRequest | CatalogueRequest) -> TimedList:
        began = perf_counter()
        made = await self.service.maker.make(request)
        return TimedList(made.items, made.fallback, _since(began))

    async def _of_owner(self, viewer: Viewer, user_id: str | None, target: str, kind: type[T]) -> T | None:
        """Return the answer of the worker that owns a shopper's profile, None if this one has to answer."""
        answer = await self.service.of_owner(user_id, _call(viewer, target, {}))
        return None if answer is None else _decoded(answer, kind)


def _since(began: float) -> float:
    return (perf_counter() - began) * 1e3


def _call(viewer: Viewer, target: str, path: Mapping[str, str]) -> Call:
    headers = {} if viewer.authorization is None else {"authorization": viewer.authorization}
    return Call(path=path, query=None, body=None, sent=Sent(method="GET", target=target, headers=headers, body=None))


def _decoded(answer: Answer, kind: type[T]) -> T:
    """Return the answer of another worker. Raises Refused if it is a problem."""
    if answer.status == HTTPStatus.OK:
        return msgspec.json.decode(answer.body, type=kind)
    detail = gettext("the worker that holds the profile refused the request")
    raise Refused(HTTPStatus(answer.status), "owner", detail)
