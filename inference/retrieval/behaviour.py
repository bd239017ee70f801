"""What shoppers do, as the sources know it: learned from the records of the stream, one set for all catalogues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from inference.retrieval.clicked import Clicked
from inference.retrieval.sessions import Sessions
from inference.retrieval.together import Together
from inference.types import ItemNeighbours, SessionItems


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What goes together, which sessions there were, what searches led to. Keyed by stable keys; not thread-safe."""

    together: Together = field(default_factory=Together)
    sessions: Sessions = field(default_factory=Sessions)
    clicked: Clicked = field(default_factory=Clicked)

    def learn(self, records: Iterable[ItemNeighbours | SessionItems]) -> set[int]:
        """Take over records, each in the place of its older one, in any order.

        Returns the stable keys of the items that shoppers acted on, for `Catalogue.mark_seen`.
        """
        seen: set[int] = set()
        for record in records:
            if isinstance(record, SessionItems):
                self.sessions.learn(record)
                seen.update(record.items)
                continue
            self.together.learn(record)
            self.clicked.learn(record)
            if record.mass > 0:
                seen.add(record.key)
        return seen
