"""Items that go together: what shoppers act on in the same sessions as the items at hand.

Item-to-item neighbours as in Sarwar, Karypis, Konstan & Riedl 2001, doi:10.1145/371920.372071, learned one event at a
time. With c(i, j) = before_i[j] + before_j[i], the weight of the pair in either order, decayed to the time of j, and
the mass m(j), the weight of all actions on j,

    share(i | j) = c(i, j) / (m(j) + 1),    score(i) = min(1, Σ_j α_j share(i | j) / Σ_j α_j)

over the session's items j, the newest first with α = 1, 1/2, 1/3, … The 1 is one action's weight: what happened once is
not yet a habit. The source `next` asks the same of the last item alone, and what came after an item counts double:
sequential rules, as in Ludewig & Jannach 2018, doi:10.1007/s11257-018-9209-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.retrieval.evidence import MOST_ITEMS, Evidence, evidence
from inference.retrieval.found import Offers
from inference.retrieval.offers import OffersSource
from inference.retrieval.port import TOGETHER
from inference.retrieval.relations import Relations
from inference.types import ItemNeighbours, Keys, Query

CAPACITY = 200_000
WIDTH = 64
HALF_LIFE_MS = 60 * 86_400e3
ONE_ACTION = 1.0


class Together:
    """Pairs of items from their newest records. `half_life_ms` is that of the records' weights."""

    def __init__(self, *, capacity: int = CAPACITY, width: int = WIDTH, half_life_ms: float = HALF_LIFE_MS) -> None:
        self._relations = Relations(capacity, width, half_life_ms)

    def __len__(self) -> int:
        return len(self._relations)

    def learn(self, record: ItemNeighbours) -> None:
        """Take over an item's record in the place of its older one; one without mass forgets the item."""
        if record.mass > 0:
            self._relations.replace(record.key, record.as_of_ms, record.mass, record.before)
        else:
            self._relations.forget(record.key)

    def partners(self, keys: Keys, others: Keys) -> list[int | None]:
        """Return for each of `keys` (n,) which of `others` (m,), stable keys, goes with it most often; None if none."""
        relations = self._relations
        # Of equally frequent ones the greatest: argmax takes the first.
        others = np.sort(others)[::-1]
        known, own = relations.slots(keys.tolist())
        met, theirs = relations.slots(others.tolist())
        weights = np.zeros((len(keys), len(others) + 1))
        place, column, other = (relations.things[own][:, :, None] == others).nonzero()
        np.add.at(weights, (known[place], other), relations.weights[own[place], column])
        other, column, place = (relations.things[theirs][:, :, None] == keys[known]).nonzero()
        factors = relations.decay(theirs[other], relations.as_of_ms[own[place]])
        np.add.at(weights, (known[place], met[other]), relations.weights[theirs[other], column] * factors)
        best = weights.argmax(axis=1).tolist()
        return [int(others[other]) if weights[place, other] > 0 else None for place, other in enumerate(best)]

    def shares(self, items: Evidence, *, backwards: float = 1.0) -> Offers:
        """Return what goes with `items`, each with α_j · c(i, j) / (m(j) + 1), where α is a part of the query's weight.

        The two orders of a pair come one after the other: their shares add up, those of what shoppers came to before
        the item `backwards` times.
        """
        relations = self._relations
        known, slots = relations.slots(items.items)
        queries, scales = items.queries[known], items.parts[known] / (relations.mass[slots] + ONE_ACTION)
        records, columns = (relations.weights[slots] > 0).nonzero()
        before = slots[records] * relations.width + columns
        after, others = relations.holders([items.items[place] for place in known.tolist()])
        holding = after // relations.width
        factors = relations.decay(holding, relations.as_of_ms[slots[others]])
        weights = relations.weights.ravel()
        return Offers(
            np.concatenate([queries[records], queries[others]]),
            np.concatenate([relations.things.ravel()[before], relations.keys[holding]]),
            np.concatenate([backwards * weights[before] * scales[records], weights[after] * factors * scales[others]]),
        )


@dataclass(frozen=True, slots=True)
class TogetherSource(OffersSource):
    """What goes with the items of the session: with the newest `most`, those before them counting `backwards`."""

    together: Together
    name: str = TOGETHER
    most: int = MOST_ITEMS
    backwards: float = 1.0

    def offers(self, queries: Sequence[Query]) -> Offers:
        """Score the neighbours of each query's items, without those items."""
        items = evidence(queries, self.most)
        return items.withheld_from(self.together.shares(items, backwards=self.backwards))
