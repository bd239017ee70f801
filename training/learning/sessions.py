"""Sessions of shoppers while their interactions wait for their labels. No I/O.

An interaction's labels are the items that its shopper acts on next in the same session. So it waits until they are
known. Sessions are those of `training.ranker.gather.session_name`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from inference.types import stable_key
from streams.contracts.messages import Interaction, ItemAction, Search, occurred_ms
from training.ranker.gather import BASKET, SEARCH_HORIZON, SessionName, session_name

Place = tuple[str, int]


class Acted(NamedTuple):
    """The first action of a session on an item: its time, and the item's rank in the list that led to it, else 0."""

    at_ms: int
    rank: int


@dataclass(slots=True, eq=False)
class Session:
    """The items of a session by stable key, in the order of their first actions."""

    last_ms: int
    items: dict[int, Acted] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Waiting:
    """An interaction that waits for its labels.

    Attributes:
        interaction: the interaction.
        at_ms: its time.
        session: its session, to which later interactions add items.
        begins: whether it is the first of its session.
        is_new: whether no file has its list yet.
        is_gathered: whether it becomes a list. Of a shopper's interactions at one time, only the last does.
        place: its partition, as TOPIC/PARTITION, and its offset; None outside of Kafka.
    """

    interaction: Interaction
    at_ms: int
    session: Session
    begins: bool
    is_new: bool
    is_gathered: bool
    place: Place | None

    def following(self, horizon: int) -> dict[int, int]:
        """Return the items acted on later in the session, at most `horizon`, with their ranks."""
        most = SEARCH_HORIZON if isinstance(self.interaction, Search) else horizon
        later = [(key, acted.rank) for key, acted in self.session.items.items() if acted.at_ms > self.at_ms]
        return dict(later[:most])

    def basket(self) -> dict[int, int]:
        """Return the first items of the session, with their ranks."""
        return {key: acted.rank for key, acted in list(self.session.items.items())[:BASKET]}


class Sessions:
    """The sessions that are open, or whose interactions wait."""

    def __init__(self, gap_ms: int) -> None:
        self._gap_ms = gap_ms
        self._sessions: dict[SessionName, Session] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self._newest: dict[str, Waiting] = {}

    def add(self, interaction: Interaction, rank: int, *, is_new: bool, place: Place | None) -> Waiting:
        """Add the next interaction. `rank` is its item's in the list that led to it, 0 without one."""
        at_ms, user_id = occurred_ms(interaction), interaction.user_id
        name = session_name(interaction, self._last, self._gap_ms)
        session = self._sessions.get(name)
        begins = session is None
        if session is None:
            session = self._sessions[name] = Session(at_ms)
        session.last_ms = max(session.last_ms, at_ms)
        if isinstance(interaction, ItemAction):
            # The first action on an item counts: later ones are no new item for the lists before.
            session.items.setdefault(stable_key(interaction.item_id), Acted(at_ms, rank))
        before = self._newest.get(user_id)
        # The list belongs to the last interaction of its time.
        if before is not None and before.at_ms == at_ms:
            before.is_gathered = False
        waiting = self._newest[user_id] = Waiting(interaction, at_ms, session, begins, is_new, is_new, place)
        return waiting

    def drop_before(self, at_ms: int) -> None:
        """Drop the sessions and shoppers whose last interaction is older than this time."""
        self._sessions = {name: each for name, each in self._sessions.items() if each.last_ms >= at_ms}
        self._last = {user_id: each for user_id, each in self._last.items() if each[0] >= at_ms}
        self._newest = {user_id: each for user_id, each in self._newest.items() if user_id in self._last}

    def forget(self, user_id: str) -> None:
        """Drop everything about a shopper."""
        self._sessions = {name: each for name, each in self._sessions.items() if name[0] != user_id}
        self._last.pop(user_id, None)
        self._newest.pop(user_id, None)
