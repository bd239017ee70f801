"""Measures a sequence model alone: the ranks of the next items among all items of the shop."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from training.sequence.batches import Shop
from training.sequence.histories import Histories, Integers, targets
from training.sequence.model import SequenceModel, Windows, gap_buckets

PART = 64
"""Lists that are computed together. More are slower, because their arrays do not fit into the caches."""
K = 20


class Quality(NamedTuple):
    """The figures of `lists` lists of 20: the share of hits, and the mean reciprocal rank."""

    hr: float
    mrr: float
    lists: int


class Ranks(NamedTuple):
    """Of n lists the rank of the best target, from 1 on, int64 (n,), and the number of the shopper, int64 (n,)."""

    rank: Integers
    shopper: Integers

    def quality(self) -> Quality:
        """Return the figures of the lists."""
        if not len(self.rank):
            return Quality(0.0, 0.0, 0)
        found = self.rank <= K
        return Quality(float(found.mean()), float((found / self.rank).mean()), len(self.rank))


def quality(model: SequenceModel, vectors: torch.Tensor, given: Histories, since: int, sample: int) -> Quality:
    """Return the quality of a sample of the lists from place `since` of the log on.

    The next new item of the session, or the first items of the next session, are the targets.
    """
    return ranks(model, Shop(given, targets(given, 1), vectors), since, sample).quality()


def ranks(model: SequenceModel, shop: Shop, since: int, sample: int) -> Ranks:
    """Return the ranks of the targets after a sample of the actions from place `since` of the log on.

    Items of the session are no candidates.
    """
    given, wanted = shop.given, shop.targets
    late = np.flatnonzero(given.position[wanted.action] >= since)
    actions = np.unique(wanted.action[late])
    drawn = np.random.default_rng(0).permutation(len(actions))[:sample]
    chosen = np.sort(actions[drawn])
    found: list[int] = []
    model.eval()
    with torch.no_grad():
        table = model.items(shop.vectors)
        for at in range(0, len(chosen), PART):
            part = chosen[at : at + PART]
            outputs = after(model, table, shop, part)
            scores = outputs @ table.T
            for row, action in enumerate(part.tolist()):
                # Below every cosine. Items of the session are no targets; those of an earlier session may be.
                if wanted.pause_ms[action] == 0:
                    scores[row, _session(given, action)] = -2.0
                # Targets are in the order of their actions, so those of one action are a range.
                first, last = np.searchsorted(wanted.action, [action, action + 1])
                own = scores[row, wanted.item[first:last]].max()
                found.append(int((scores[row] > own).sum()) + 1)
    return Ranks(np.array(found, dtype=np.int64), np.searchsorted(given.starts, chosen, side="right") - 1)


def after(model: SequenceModel, table: torch.Tensor, shop: Shop, actions: Integers) -> torch.Tensor:
    """Return the model's outputs after some actions, (n, width). `table` is that of `model.items`."""
    given = shop.given
    # The window ends at the action, and does not reach into the history of the shopper before.
    shopper = np.searchsorted(given.starts, actions, side="right") - 1
    starts = np.maximum(given.starts[shopper], actions - shop.window + 1)
    at = starts[:, None] + np.arange(shop.window)
    real = at <= actions[:, None]
    at = np.minimum(at, len(given) - 1)
    # The pauses of earlier actions have no effect on the output after the last one.
    windows = Windows(
        torch.from_numpy(np.where(real, given.item[at], -1)),
        torch.from_numpy(given.action[at]),
        torch.from_numpy(given.at_ms[at]),
        gap_buckets(torch.from_numpy(shop.targets.pause_ms[at])),
    )
    outputs = model(table, windows)
    return outputs[torch.arange(len(actions)), torch.from_numpy(actions - starts)]


def _session(given: Histories, action: int) -> Integers:
    """Return the items of the session up to an action, without other things that a model reads."""
    start = action
    while start > 0 and given.session[start - 1] == given.session[action]:
        start -= 1
    own = given.item[start : action + 1]
    return np.unique(own[own < given.items])
