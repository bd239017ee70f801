"""Trains the sequence model. A killed run resumes from its checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from training.sequence.histories import WINDOW, Histories, Integers, Targets
from training.sequence.model import SequenceModel, Windows, gap_buckets

CLIP = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Shop:
    """What the model learns from in one shop: the actions, their targets, and the items' vectors, float32 (n, dim)."""

    given: Histories
    targets: Targets
    vectors: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings of a training.

    `negatives` is the number of uniform negatives beside the targets of the batch; shops with at most `exact` items use
    the softmax over all items. `loss` is softmax or gsasrec, `beta` the calibration of gsasrec.
    """

    epochs: int = 20
    rate: float = 2e-3
    decay: float = 0.01
    residual_decay: float = 0.0
    batch: int = 64
    negatives: int = 1024
    exact: int = 6000
    loss: str = "softmax"
    beta: float = 0.9
    seed: int = 0


class Batch(NamedTuple):
    """Sequences, and the targets of their actions: the place of the action in the batch, the item and the weight."""

    windows: Windows
    places: torch.Tensor
    items: torch.Tensor
    weights: torch.Tensor


class Sampler:
    """Cuts the histories of a shop into sequences of WINDOW actions, at other places in each epoch."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        given = shop.given
        counts = np.bincount(shop.targets.action, minlength=len(given))
        self._first = np.concatenate([[0], np.cumsum(counts)])
        order = np.argsort(shop.targets.action, kind="stable")
        self._items, self._weights = shop.targets.item[order], shop.targets.weight[order]

    def epoch(self, size: int, draw: np.random.Generator) -> Iterator[Batch]:
        """Yield every action once, in batches of `size` sequences in random order."""
        given = self._shop.given
        pieces = []
        for start, end in zip(given.starts[:-1].tolist(), given.starts[1:].tolist(), strict=True):
            if end - start < 2:
                continue
            cut = start + int(draw.integers(1, WINDOW + 1)) if end - start > WINDOW else end
            at = start
            while at < end:
                pieces.append((at, min(cut, end)))
                at, cut = cut, cut + WINDOW
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


def loss_of(model: SequenceModel, shop: Shop, batch: Batch, plan: Plan, frequency: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of the batch's targets. `frequency` is each item's share of the targets, (items,)."""
    table = model.items(shop.vectors)
    outputs = model(table, batch.windows).flatten(0, 1)
    rows, inverse = batch.places.unique(return_inverse=True)
    outputs = outputs[rows] * model.scale
    count = max(len(rows), 1)
    if plan.loss == "gsasrec":
        return _gsasrec(outputs, table, batch, inverse, plan) / count
    if len(table) <= plan.exact:
        logits = outputs @ table.T
        normaliser = logits.logsumexp(-1)
        own = logits[inverse, batch.items]
        return (batch.weights * (normaliser[inverse] - own)).sum() / count
    positives = batch.items.unique()
    uniform = torch.randint(0, len(table), (plan.negatives,))
    candidates = torch.cat([positives, uniform]).unique()
    # The share of batches in which an item is a candidate corrects the estimate of the sum over all items (logQ).
    absent = (1 - frequency[candidates]) ** len(batch.items) * (1 - 1 / len(table)) ** plan.negatives
    logits = outputs @ table[candidates].T
    place = torch.searchsorted(candidates, batch.items)
    own = logits[inverse, place]
    corrected = logits - torch.log(1 - absent)
    # Each target competes with all other candidates, and its own logit needs no correction.
    total = corrected.logsumexp(-1)[inverse]
    rest = total + torch.log1p(-(corrected[inverse, place] - total).exp().clamp(max=1 - 1e-6))
    return (batch.weights * (torch.logaddexp(rest, own) - own)).sum() / count


def _gsasrec(
    outputs: torch.Tensor, table: torch.Tensor, batch: Batch, inverse: torch.Tensor, plan: Plan
) -> torch.Tensor:
    """Return the sum of gBCE losses (gSASRec, Petrov & Macdonald 2023, doi:10.1145/3604915.3608783)."""
    drawn = torch.randint(0, len(table), (min(256, len(table)),))
    share = len(drawn) / max(len(table) - 1, 1)
    beta = share * (plan.beta * (1 - 1 / share) + 1 / share)
    own = (outputs[inverse] * table[batch.items]).sum(-1)
    others = outputs @ table[drawn].T
    negatives = -logsigmoid(-others).sum(-1)
    return (batch.weights * (-beta * logsigmoid(own) + negatives[inverse])).sum()


def optimiser_of(model: SequenceModel, plan: Plan) -> torch.optim.Optimizer:
    """Return AdamW; the residuals of items have a decay of their own."""
    residual = [each for name, each in model.named_parameters() if name.startswith("residual")]
    matrices = [e for n, e in model.named_parameters() if e.ndim > 1 and not n.startswith("residual")]
    others = [e for n, e in model.named_parameters() if e.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": plan.decay},
        {"params": others, "weight_decay": 0.0},
        {"params": residual, "weight_decay": plan.residual_decay},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=plan.rate, betas=(0.9, 0.98))


def train(
    model: SequenceModel,
    shops: Sequence[Shop],
    plan: Plan,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[int, float, float]]:
    """Train in place; yield the epoch, its mean loss and its seconds after each epoch."""
    torch.manual_seed(plan.seed)
    optimiser = optimiser_of(model, plan)
    samplers = [Sampler(shop) for shop in shops]
    frequencies = [
        torch.from_numpy(
            np.bincount(s.targets.item, weights=s.targets.weight, minlength=s.given.items).astype(np.float32)
        )
        / float(max(s.targets.weight.sum(), 1.0))
        for s in shops
    ]
    steps, total = 0, None
    for epoch in range(plan.epochs):
        began = clock()
        draw = np.random.default_rng([plan.seed, epoch])
        batches = [(n, b) for n, sampler in enumerate(samplers) for b in sampler.epoch(plan.batch, draw)]
        order = draw.permutation(len(batches))
        total = total or len(batches) * plan.epochs
        model.train()
        losses = []
        for at in order.tolist():
            number, batch = batches[at]
            if not len(batch.places):
                continue
            warm = min((steps + 1) / 100, 1.0)
            for group in optimiser.param_groups:
                group["lr"] = plan.rate * warm * max(0.5 * (1 + np.cos(np.pi * min(steps / total, 1))), 0.02)
            loss = loss_of(model, shops[number], batch, plan, frequencies[number])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimiser.step()
            losses.append(float(loss.detach()))
            steps += 1
        yield epoch, float(np.mean(losses)), clock() - began
