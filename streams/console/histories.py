"""Histories: the latest events and lists of each shopper, and how often a list had the shopper's next item. No I/O."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from streams.console.clock import Clock
from streams.contracts import serde
from streams.contracts.messages import DeadLetter, Interaction, Recommendations, Timestamp
from streams.contracts.refusals import UNREADABLE

SHOPPERS_KEPT = 500
EVENTS_KEPT = 40
ANSWERS_KEPT = 40
WHOLE = 3
"""Lists of a shopper that are kept whole: the last one, the one that it is compared with, and one in between."""
LETTERS_KEPT = 12
OUTCOMES_KEPT = 500
SENT_KEPT = 5000
WINDOW = 100
"""Actions of the running hit rate."""
SESSION_GAP = timedelta(minutes=30)
FIRST = 10
"""Items of a list that count for the hit rate."""
BOUGHT_NEXT = "intentstream-bought-next"
"""Header of a replayed event: the items that its shopper buys later in the same visit, separated by spaces."""


class ShownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the console shows it. `bought_next` are items that a replayed shopper really bought after it."""

    type: str
    event_id: str
    user_id: str
    occurred_at: Timestamp
    session_id: str | None = None
    item_id: str | None = None
    query: str | None = None
    bought_next: tuple[str, ...] = ()

    @property
    def interaction(self) -> Interaction:
        """The event as in the contract."""
        fields = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        del fields["bought_next"]
        event: Interaction = msgspec.convert(fields, Interaction)
        return event


@dataclass(slots=True)
class Outcome:
    """Whether the next item of a shopper was among the first of the list, and among the most popular items."""

    listed: bool
    popular: bool
    rank: int | None


@dataclass(slots=True)
class AnsweringList:
    """A list and the event that it answers.

    Attributes:
        event_id, trigger: id and type of the event.
        categories: the categories of the intent, each with its weight.
        items: ids of the items, in order; only of the last `WHOLE` lists of a shopper, as `raw`, the bytes of the list.
        took_ms: time from the event to the list, None if unknown.
    """

    event_id: str
    trigger: str
    categories: dict[str, float]
    items: tuple[str, ...]
    raw: bytes
    took_ms: float | None = None

    @property
    def message(self) -> Recommendations:
        """The whole list. Raises InvalidEvent if it is no list."""
        return serde.decode_recommendations(self.raw)

    @property
    def ranks(self) -> dict[str, int]:
        """The rank of each item."""
        return {item_id: rank for rank, item_id in enumerate(self.items, start=1)}


class _Item(msgspec.Struct, frozen=True, gc=False):
    item_id: str


class _Intent(msgspec.Struct, frozen=True, gc=False):
    kind: str
    label: str
    weight: float


class _Trigger(msgspec.Struct, frozen=True, gc=False):
    event_id: str
    type: str


class _Brief(msgspec.Struct, frozen=True):
    """The fields that are read of every list. The other fields are read when the list is shown."""

    user_id: str
    trigger: _Trigger
    items: tuple[_Item, ...]
    intent: tuple[_Intent, ...]


@dataclass(slots=True)
class ShopperHistory:
    """The latest events and lists of a shopper, oldest first. `ranks` has the ranks that items had when they came."""

    user_id: str
    events: deque[ShownEvent] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    answers: deque[AnsweringList] = field(default_factory=lambda: deque(maxlen=ANSWERS_KEPT))
    ranks: OrderedDict[str, int] = field(default_factory=OrderedDict)
    in_session: set[str] = field(default_factory=set)
    changes: int = 0

    def starts_session(self, event: ShownEvent) -> bool:
        """Return whether an event belongs to another session than the last one."""
        if not self.events:
            return True
        last = self.events[-1]
        if event.session_id is not None or last.session_id is not None:
            return event.session_id != last.session_id
        return abs(event.occurred_at - last.occurred_at) > SESSION_GAP

    def add(self, answer: AnsweringList) -> None:
        """Add a list. Older ones become brief: many of them would need much memory."""
        self.answers.append(answer)
        if len(self.answers) > WHOLE:
            brief = self.answers[-WHOLE - 1]
            brief.items, brief.raw = (), b""

    def list_before(self, event_id: str) -> AnsweringList | None:
        """Return the newest list that does not answer this event. An event and its list can arrive in either order."""
        return next((each for each in reversed(self.answers) if each.event_id != event_id), None)

    @property
    def bought_next(self) -> frozenset[str]:
        """Items that a replayed shopper really bought after the last event."""
        return frozenset(self.events[-1].bought_next) if self.events else frozenset()


_event = msgspec.json.Decoder(ShownEvent)
_brief = msgspec.json.Decoder(_Brief)


def decode_event(value: bytes | None, bought_next: bytes | None) -> ShownEvent | None:
    """Return an event, None for a message that breaks the contract: such a message has a dead letter."""
    try:
        event = _event.decode(value or b"")
    except UNREADABLE:
        return None
    if bought_next:
        return msgspec.structs.replace(event, bought_next=tuple(bought_next.decode(errors="replace").split()))
    return event


@dataclass(slots=True)
class Histories:
    """Histories of the shoppers that acted last, and what the Flow page shows of all of them.

    Attributes:
        popular: ids of the most popular items, for the comparison of hit rates.
        clock: the time at which a viewer acts.
        letters: the last refused messages.
        outcomes: outcomes of the latest actions on new items.
        events, lists: numbers of events and lists so far.
    """

    popular: tuple[str, ...] = ()
    clock: Clock = field(default_factory=Clock)
    letters: deque[DeadLetter] = field(default_factory=lambda: deque(maxlen=LETTERS_KEPT))
    outcomes: deque[Outcome] = field(default_factory=lambda: deque(maxlen=OUTCOMES_KEPT))
    events: int = 0
    lists: int = 0
    _histories: OrderedDict[str, ShopperHistory] = field(default_factory=OrderedDict)
    _sent_ms: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def of(self, user_id: str) -> ShopperHistory | None:
        """Return the history of a shopper, None for one who did nothing lately."""
        return self._histories.get(user_id)

    def recent(self, number: int) -> list[str]:
        """Return the shoppers that acted last, newest first."""
        return list(self._histories)[: -number - 1 : -1]

    def add_event(self, event: ShownEvent, sent_ms: float) -> None:
        """Add an event that Kafka took at `sent_ms`."""
        history = self._history(event.user_id)
        if any(each.event_id == event.event_id for each in history.events):
            return  # sent again
        self.events += 1
        self.clock.add(event.occurred_at, sent_ms)
        self._sent_ms[event.event_id] = sent_ms
        while len(self._sent_ms) > SENT_KEPT:
            self._sent_ms.popitem(last=False)
        if history.starts_session(event):
            history.in_session.clear()
        if event.item_id is not None:
            self._judge(history, event)
            history.in_session.add(event.item_id)
        history.events.append(event)
        history.changes += 1

    def add_list(self, raw: bytes, arrived_ms: float) -> AnsweringList | None:
        """Add a list that was produced at `arrived_ms`, and return it. None for an unreadable or a repeated one."""
        try:
            brief = _brief.decode(raw)
        except UNREADABLE:
            return None
        event_id, history = brief.trigger.event_id, self._history(brief.user_id)
        if any(each.event_id == event_id for each in history.answers):
            return None  # sent again, or at another placement
        answer = AnsweringList(
            event_id=event_id,
            trigger=brief.trigger.type,
            categories={each.label: each.weight for each in brief.intent if each.kind == "category"},
            items=tuple(each.item_id for each in brief.items),
            raw=raw,
        )
        sent_ms = self._sent_ms.get(event_id)
        if sent_ms is not None and arrived_ms >= sent_ms:
            answer.took_ms = arrived_ms - sent_ms
        history.add(answer)
        history.changes += 1
        self.lists += 1
        return answer

    def hit_rates(self) -> tuple[float, float, int]:
        """Return the shares of next items that lists and the most popular items had, and the number of actions."""
        number = len(self.outcomes)
        if not number:
            return 0.0, 0.0, 0
        return (
            sum(each.listed for each in self.outcomes) / number,
            sum(each.popular for each in self.outcomes) / number,
            number,
        )

    def hits_over_time(self) -> dict[str, list[float]]:
        """Return both shares over the latest `WINDOW` actions, after each of the actions that are kept."""
        lines: dict[str, list[float]] = {"lists": [], "popular items": []}
        listed, popular = (deque[bool](maxlen=WINDOW) for _ in lines)
        for each in self.outcomes:
            listed.append(each.listed)
            popular.append(each.popular)
            if len(listed) == WINDOW:
                lines["lists"].append(sum(listed) / WINDOW)
                lines["popular items"].append(sum(popular) / WINDOW)
        return lines

    def _judge(self, history: ShopperHistory, event: ShownEvent) -> None:
        """Note whether the list before an action had its item. Only the first action on an item in a session counts."""
        before = history.list_before(event.event_id)
        if before is None or event.item_id is None or event.item_id in history.in_session:
            return
        rank = before.ranks.get(event.item_id)
        if rank is not None:
            history.ranks[event.event_id] = rank
            while len(history.ranks) > EVENTS_KEPT:
                history.ranks.popitem(last=False)
        if before.trigger == "search" or not self.popular:
            return  # after a search, a list has to match what was typed
        # Lists do not show items of the session, so the comparison with popular items must not either.
        popular = _without(self.popular, history.in_session)
        self.outcomes.append(Outcome(rank is not None and rank <= FIRST, event.item_id in popular, rank))

    def _history(self, user_id: str) -> ShopperHistory:
        history = self._histories.get(user_id)
        if history is None:
            history = self._histories[user_id] = ShopperHistory(user_id)
            while len(self._histories) > SHOPPERS_KEPT:
                self._histories.popitem(last=False)
        else:
            self._histories.move_to_end(user_id)
        return history


def _without(popular: Iterable[str], left_out: set[str]) -> list[str]:
    return [item_id for item_id in popular if item_id not in left_out][:FIRST]
