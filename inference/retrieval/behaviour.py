"""Behaviour of all shoppers, learned from the records of the stream: one object for all catalogues."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from inference.kernels.votes import ItemNumbers
from inference.retrieval.clicked import Clicked
from inference.retrieval.cooccurrence import HALF_LIFE_MS, Limits
from inference.retrieval.sequence import SequenceModel
from inference.retrieval.sessions import CAPACITY, Sessions
from inference.retrieval.sources import NAMES, SOURCES, CandidateSource
from inference.retrieval.transitions import ItemTransitions
from inference.types import ItemNeighbours, SessionItems


class Behaviour:
    """Transitions between items, sessions, and items acted on after searches. Not thread-safe.

    Args:
        half_life_ms: the half-life of the weights in the records.
        sessions: the number of sessions that are kept.
        min_shoppers: distinct shoppers whose sessions must have an item before they propose it.
        claimed_above: weight of a pair of items above which a reason may name it, if its lift is 1; None for any pair.
        numbers: the numbers of items; new ones if none are given.

    Attributes:
        numbers: the numbers of items. The catalogues that the sources search must share them.
    """

    def __init__(
        self,
        *,
        half_life_ms: float = HALF_LIFE_MS,
        sessions: int = CAPACITY,
        min_shoppers: int = 1,
        claimed_above: float | None = None,
        numbers: ItemNumbers | None = None,
    ) -> None:
        self.numbers = ItemNumbers() if numbers is None else numbers
        self.transitions = ItemTransitions(self.numbers, Limits(half_life_ms=half_life_ms), claimed_above=claimed_above)
        self.sessions = Sessions(self.numbers, capacity=sessions, min_shoppers=min_shoppers)
        self.clicked = Clicked(self.numbers, half_life_ms=half_life_ms)

    def learn(self, records: Iterable[ItemNeighbours | SessionItems]) -> set[int]:
        """Store records, each in place of its older one, in any order.

        Returns the stable keys of the items that shoppers acted on, for `Catalogue.mark_seen`.
        """
        sessions: list[SessionItems] = []
        neighbours: list[ItemNeighbours] = []
        for record in records:
            if isinstance(record, SessionItems):
                sessions.append(record)
            else:
                neighbours.append(record)
        if sessions:
            self.sessions.learn(sessions)
        if neighbours:
            self.transitions.learn(neighbours)
            self.clicked.learn(neighbours)
        # A record without weight deletes the item's record, so it shows no action.
        seen = {record.key for record in neighbours if record.weight > 0}
        return seen.union(*(record.items for record in sessions))


def make_sources(
    names: Iterable[str], behaviour: Behaviour, sequence: SequenceModel | None = None
) -> list[CandidateSource]:
    """Make the sources with these names, in the order of `SOURCES`, over the learned behaviour.

    Without a sequence model, the sources that read it are left out.

    Raises:
        ValueError: a name is not that of a source.
    """
    wanted = set(names)
    if unknown := sorted(wanted.difference(NAMES)):
        raise ValueError(f"sources: required some of {', '.join(NAMES)}, got {', '.join(map(repr, unknown))}")
    readable = {
        "nothing": None,
        "clicked": behaviour.clicked,
        "transitions": behaviour.transitions,
        "sessions": behaviour.sessions,
        "sequence": sequence,
    }
    return [
        import_module(source.module_path).make_source(source.name, readable[source.reads])
        for source in SOURCES
        if source.name in wanted and (sequence is not None or source.reads != "sequence")
    ]
