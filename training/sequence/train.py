"""Trains the sequence model. A killed run resumes from its checkpoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import logsigmoid

from inference.errors import DataError
from training.sequence.batches import Batch, Sampler, Shop
from training.sequence.model import SequenceModel

CLIP = 1.0
WARM_UP = 100
"""Steps in which the rate rises to its full value, at most a tenth of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The settings of a training.

    `negatives` is the number of uniform negatives beside the targets of the batch; shops with at most `exact` items use
    the softmax over all items. `decay` is that of the matrices. Biases and the residuals of items have none. With
    `equal`, an epoch has as many batches of each shop as the shop with the fewest has.
    """

    epochs: int = 20
    rate: float = 2e-3
    decay: float = 0.01
    batch: int = 64
    negatives: int = 1024
    exact: int = 6000
    equal: bool = False
    seed: int = 0


def loss_of(model: SequenceModel, shop: Shop, batch: Batch, plan: Plan, frequency: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of the batch's targets. `frequency` is each item's share of the targets, (items,).

    A transferable model explains a target by the newest items or by the target's popularity, whichever fits better: a
    mixture, whose share of popular targets is learned. Otherwise the many targets that are unlike the newest items
    would blur the attention until it prefers what is popular in the shop.
    """
    rows, inverse = batch.places.unique(return_inverse=True)
    logs = _log_probabilities(model, shop, batch, (rows, inverse), plan, frequency)
    if model.popular is not None:
        by_items = logsigmoid(-model.popular) + logs
        logs = torch.logaddexp(by_items, logsigmoid(model.popular) + frequency[batch.items].log())
    return -(batch.weights * logs).sum() / max(len(rows), 1)


def _log_probabilities(
    model: SequenceModel,
    shop: Shop,
    batch: Batch,
    places: tuple[torch.Tensor, torch.Tensor],
    plan: Plan,
    frequency: torch.Tensor,
) -> torch.Tensor:
    """Return the logarithm of the probability of each target. `places` are distinct, with their inverse."""
    rows, inverse = places
    table = model.items(shop.vectors)
    outputs = model(table, batch.windows).flatten(0, 1)[rows] * model.scale
    if len(table) <= plan.exact:
        logits = outputs @ table.T
        return logits[inverse, batch.items] - logits.logsumexp(-1)[inverse]
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
    return own - torch.logaddexp(rest, own)


Loss = Callable[[SequenceModel, Shop, Batch, Plan, torch.Tensor], torch.Tensor]
"""A function with the arguments and the result of `loss_of`."""


def optimiser_of(model: SequenceModel, plan: Plan) -> torch.optim.Optimizer:
    """Return AdamW with a decay of the matrices, but not of biases and residuals."""
    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for name, each in model.named_parameters():
        groups[each.ndim > 1 and not name.startswith("residual")].append(each)
    return torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": plan.decay}, {"params": groups[False], "weight_decay": 0.0}],
        lr=plan.rate, betas=(0.9, 0.98),
    )  # fmt: skip


class Trainer:
    """Trains a model in place, epoch by epoch. A run that was interrupted resumes from its checkpoint.

    Args:
        model: the model.
        shops: what it learns from; each batch is of one shop.
        plan: the settings.
        checkpoint: file of the state after each epoch; None for none.
        digest: identifies the data and the loss, so that a checkpoint of others is refused.
        loss: the loss of a batch.
    """

    def __init__(
        self,
        model: SequenceModel,
        shops: Sequence[Shop],
        plan: Plan,
        checkpoint: Path | None = None,
        digest: str = "",
        *,
        loss: Loss = loss_of,
    ) -> None:
        self._model, self._shops, self._plan, self._loss = model, shops, plan, loss
        self._checkpoint = checkpoint
        self._digest = f"{digest}/{plan}/{model.shape}"
        self._samplers = [Sampler(shop) for shop in shops]
        self._frequencies = [_frequencies(shop) for shop in shops]
        self._optimiser = optimiser_of(model, plan)
        self._done = 0
        self._steps = self._all_steps = 0
        if checkpoint is not None and checkpoint.exists():
            self._resume(checkpoint)

    @property
    def done(self) -> int:
        """The number of epochs that are done."""
        return self._done

    def epochs(self, progress: Callable[[int], None] = lambda _: None) -> Iterator[int]:
        """Train, and yield the number of epochs done after each. `progress` receives the actions of each batch."""
        for number in range(self._done, self._plan.epochs):
            # Each epoch has its own seeds, so a resumed run draws as an uninterrupted one does.
            draw = np.random.default_rng([self._plan.seed, number])
            torch.manual_seed(self._plan.seed * 1000 + number)
            for at, batch in self._batches(draw):
                self._step(at, batch, progress)
            self._done = number + 1
            if self._checkpoint is not None:
                self._save(self._checkpoint)
            yield self._done

    def _batches(self, draw: np.random.Generator) -> Iterator[tuple[int, Batch]]:
        """Yield the batches of all shops in random order."""
        streams = [sampler.epoch(self._plan.batch, draw) for sampler in self._samplers]
        sizes = [sampler.batches(self._plan.batch) for sampler in self._samplers]
        if self._plan.equal:
            sizes = [min(sizes)] * len(sizes)
        self._all_steps = self._all_steps or sum(sizes) * self._plan.epochs
        # Each shop has its number of batches in the order, so a large shop does not end before or after the others.
        order = np.repeat(np.arange(len(sizes)), sizes)
        draw.shuffle(order)
        for at in order.tolist():
            batch = next(streams[at], None)
            if batch is not None and len(batch.places):
                yield at, batch

    def _step(self, at: int, batch: Batch, progress: Callable[[int], None]) -> None:
        plan = self._plan
        # A linear rise, then half a cosine, with 2% of the rate as the least.
        warm = min((self._steps + 1) / min(WARM_UP, max(self._all_steps / 10, 1.0)), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * min(self._steps / max(self._all_steps, 1), 1.0)))
        for group in self._optimiser.param_groups:
            group["lr"] = plan.rate * warm * max(cosine, 0.02)
        self._model.train()
        loss = self._loss(self._model, self._shops[at], batch, plan, self._frequencies[at])
        if not bool(torch.isfinite(loss)):
            raise DataError(f"sequence model, step {self._steps}: the loss is {float(loss)}: use a lower rate")
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), CLIP)
        self._optimiser.step()
        self._steps += 1
        progress(int((batch.windows.items >= 0).sum()))

    def _save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".tmp")
        state = {
            "digest": self._digest,
            "done": self._done,
            "steps": self._steps,
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        torch.save(state, unfinished)
        unfinished.replace(path)

    def _resume(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        if state["digest"] != self._digest:
            raise DataError(f"{path}: a checkpoint of other data or settings; remove it, or choose another folder")
        self._model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._done, self._steps = state["done"], state["steps"]


def _frequencies(shop: Shop) -> torch.Tensor:
    """Return the share of each item in the targets, float32 (items,)."""
    weights = np.bincount(shop.targets.item, weights=shop.targets.weight, minlength=shop.given.items)
    return torch.from_numpy((weights / max(float(weights.sum()), 1.0)).astype(np.float32))
