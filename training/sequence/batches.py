"""The training data of a shop, and the batches that are cut from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from training.sequence.histories import WINDOW, Histories, Integers, Targets
from training.sequence.model import Windows, gap_buckets


@dataclass(frozen=True, slots=True, eq=False)
class Shop:
    """The training data of one shop.

    Attributes:
        given: the actions.
        targets: their targets.
        vectors: the items' vectors, float32 (n, dim).
        window: actions of a training sequence.
    """

    given: Histories
    targets: Targets
    vectors: torch.Tensor
    window: int = WINDOW


class Batch(NamedTuple):
    """Sequences, and the targets of their actions: the place of the action in the batch, the item and the weight."""

    windows: Windows
    places: torch.Tensor
    items: torch.Tensor
    weights: torch.Tensor


class Sampler:
    """Cuts the histories of a shop into sequences of `shop.window` actions, at other places in each epoch."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        given = shop.given
        counts = np.bincount(shop.targets.action, minlength=len(given))
        self._first = np.concatenate([[0], np.cumsum(counts)])
        order = np.argsort(shop.targets.action, kind="stable")
        self._items, self._weights = shop.targets.item[order], shop.targets.weight[order]

    def batches(self, size: int) -> int:
        """Return how many batches of `size` sequences an epoch has at most."""
        lengths = np.diff(self._shop.given.starts)
        lengths = lengths[lengths > 1]
        # A long history is first cut at a random place, which can make one piece more.
        window = self._shop.window
        pieces = np.where(lengths > window, -(-lengths // window) + 1, 1).sum()
        return int(-(-pieces // size))

    def epoch(self, size: int, draw: np.random.Generator) -> Iterator[Batch]:
        """Yield every action once, in batches of `size` sequences in random order."""
        given, window = self._shop.given, self._shop.window
        pieces = []
        for start, end in zip(given.starts[:-1].tolist(), given.starts[1:].tolist(), strict=True):
            if end - start < 2:
                continue
            # The first piece of a long history has a random length, so that the borders are elsewhere in each epoch.
            cut = start + int(draw.integers(1, window + 1)) if end - start > window else end
            at = start
            while at < end:
                pieces.append((at, min(cut, end)))
                at, cut = cut, cut + window
        ends = np.array(pieces, dtype=np.int64)
        draw.shuffle(ends)
        for at in range(0, len(ends), size):
            yield self.batch(ends[at : at + size, 0], ends[at : at + size, 1])

    def batch(self, starts: Integers, ends: Integers) -> Batch:
        """Return the sequences of the actions from `starts` to `ends`, (B,) each."""
        given = self._shop.given
        lengths = ends - starts
        size = int(lengths.max())
        offsets = np.arange(size)
        at = np.minimum(starts[:, None] + offsets, len(given) - 1)
        real = offsets < lengths[:, None]
        pauses = gap_buckets(torch.from_numpy(self._shop.targets.pause_ms[at]))
        windows = Windows(
            torch.from_numpy(np.where(real, given.item[at], -1)),
            torch.from_numpy(given.action[at]),
            torch.from_numpy(given.at_ms[at]),
            pauses,
        )
        # The targets of an action are consecutive, so each place is that of the action's first target plus 0, 1, 2, …
        first, last = self._first[at], self._first[at + 1]
        counts = np.where(real, last - first, 0).ravel()
        places = np.repeat(np.arange(at.size), counts)
        within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        chosen = np.repeat(first.ravel(), counts) + within
        return Batch(
            windows,
            torch.from_numpy(places),
            torch.from_numpy(self._items[chosen]),
            torch.from_numpy(self._weights[chosen]),
        )
