"""What a session says, as sources read it: the items acted on, the newest of them weighing most."""

from __future__ import annotations

import numpy as np

from inference.retrieval.tally import Sums
from inference.types import Query

MOST_ITEMS = 10
"""Older ones say next to nothing about what comes next, and cost as much as the newest."""


def evidence(query: Query, most: int = MOST_ITEMS) -> tuple[list[int], Sums]:
    """Return the stable keys of the session's `most` newest items, newest first, and the weight 1 / place of each.

    At the start of a session, the items remembered from earlier ones.
    """
    keys = query.session.tolist() if len(query.session) else [memory.key for memory in query.recent]
    distinct = list(dict.fromkeys(keys))[:most]
    return distinct, 1 / np.arange(1, len(distinct) + 1)
