"""Small logs of sessions for the tests of their values."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from training.evaluation.cases import cases
from training.log import Log
from training.value.session_log import SessionLog, session_log

MINUTE, DAY = 60_000, 86_400_000


def log_of(sessions: Sequence[tuple[int, int, Sequence[int]]], items: int) -> Log:
    """Return a log from sessions: the shopper, the start in milliseconds, and the items, two minutes apart."""
    rows = sorted(
        (start + 2 * MINUTE * place, number, user, item)
        for number, (user, start, own) in enumerate(sessions)
        for place, item in enumerate(own)
    )
    at_ms, session, user, item = (np.array(column) for column in zip(*rows, strict=True))
    seen: set[tuple[int, int]] = set()
    first = []
    for pair in zip(session.tolist(), item.tolist(), strict=True):
        first.append(pair not in seen)
        seen.add(pair)
    return Log(
        interactions=(),
        item_ids=[str(number) for number in range(items)],
        catalogue=items,
        available=np.ones(items, dtype=np.bool_),
        item=item.astype(np.int32),
        user=user.astype(np.int32),
        session=session.astype(np.int32),
        at_ms=at_ms.astype(np.int64),
        bought=np.zeros(len(item), dtype=np.bool_),
        first=np.array(first),
        end=np.arange(len(item), dtype=np.int64),
    )


def sessions_of(log: Log) -> SessionLog:
    """Return the sessions of a log with a list after each item."""
    return session_log(log, cases(log, log.acts(), "next-item", 0))


def tasteful(seed: int, sessions: int = 120, groups: int = 4, size: int = 8) -> Log:
    """Return a log of shoppers who each keep to one group of items."""
    random = Random(seed)
    chosen = []
    for number in range(sessions):
        group = random.randrange(groups)
        own = random.sample(range(group * size, (group + 1) * size), random.randint(2, 6))
        chosen.append((number % 40, number * DAY // 4, own))
    return log_of(chosen, groups * size)
