"""Fits a sequence model to shops: finds the number of epochs on held-out events, then trains on all events.

Both trainings keep a checkpoint in a work folder, so that a second run resumes from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from inference.errors import DataError
from inference.types import Vector
from training.log import Log
from training.phases import StartPhase
from training.sequence.batches import Shop
from training.sequence.histories import Histories, histories, targets
from training.sequence.measure import Quality, quality
from training.sequence.model import SequenceModel, Shape, principal_axes
from training.sequence.train import Plan, Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The settings of a fit.

    Attributes:
        shape, plan: the model, and its training; `plan.epochs` is the greatest number of epochs.
        horizon: next items of a session that are targets.
        held_out: share of each shop's events, the last ones, on which the number of epochs is chosen.
        patience: epochs without a better MRR after which the first training ends.
        measured: lists of each shop that are measured after an epoch.
    """

    shape: Shape
    plan: Plan
    horizon: int = 2
    held_out: float = 0.1
    patience: int = 4
    measured: int = 2000


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model trained on all events, and the figures of one that was trained without the held-out events."""

    model: SequenceModel
    epochs: int
    held_out: tuple[Quality, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ShopEvents:
    """The actions of one shop, its items' vectors, float32 (items, dim), and the length of its log."""

    given: Histories
    vectors: torch.Tensor
    events: int

    @classmethod
    def of(cls, log: Log, vectors: Vector) -> ShopEvents:
        """Return the actions of a log."""
        return cls(histories(log), torch.from_numpy(vectors), len(log))


def fit(shops: Sequence[ShopEvents], options: Options, work: Path, start_phase: StartPhase) -> Fitted:
    """Fit a model. With several shops, it must have no residuals.

    Raises:
        DataError: the work folder has a checkpoint of other data or settings, or lacks figures of its epochs.
    """
    digest = _digest(shops)
    ends = [round((1 - options.held_out) * shop.events) for shop in shops]
    found = _choose(shops, ends, options, work, start_phase, digest)
    # Of equally good epochs the earliest.
    best = max(range(len(found)), key=lambda epoch: (_mean_mrr(found[epoch]), -epoch))
    plan = replace(options.plan, epochs=best + 1)
    # Trained anew on all events, for the number of epochs that was best on the held-out ones. Continuing the first
    # model would leave its learning rate near 0 for the newest events.
    parts = [_part(shop, None, options.horizon) for shop in shops]
    model = new_model(shops, options)
    trainer = Trainer(model, parts, plan, work / "all.pt", digest)
    advance = start_phase("Training on all events", _actions(parts, plan) * plan.epochs)
    for _ in trainer.epochs(advance):
        pass
    return Fitted(model.eval(), best + 1, found[best])


def new_model(shops: Sequence[ShopEvents], options: Options) -> SequenceModel:
    """Return an untrained model."""
    torch.manual_seed(options.plan.seed)
    vectors = torch.cat([shop.vectors for shop in shops])
    model = SequenceModel(options.shape, vectors.shape[1], shops[0].given.items)
    if options.shape.transferable:
        model.keep_projection(principal_axes(vectors, options.shape.width))
    return model


def _choose(
    shops: Sequence[ShopEvents],
    ends: Sequence[int],
    options: Options,
    work: Path,
    start_phase: StartPhase,
    digest: str,
) -> list[tuple[Quality, ...]]:
    """Return the quality in each shop after each epoch, up to `patience` epochs after the best one."""
    parts = [_part(shop, end, options.horizon) for shop, end in zip(shops, ends, strict=True)]
    model = new_model(shops, options)
    trainer = Trainer(model, parts, options.plan, work / "held-out.pt", digest)
    record = work / "held-out.jsonl"
    # The figures are written after the checkpoint of their epoch. Figures beyond the checkpoint are of a training that
    # was started anew.
    found = _read(record)[: trainer.done]

    def measure() -> None:
        measured = zip(shops, ends, strict=True)
        found.append(tuple(quality(model, s.vectors, s.given, end, options.measured) for s, end in measured))
        _write(record, found)

    epoch = _actions(parts, options.plan)
    advance = start_phase("Choosing the epochs", epoch * options.plan.epochs)
    advance(epoch * trainer.done)
    # A run that was killed while it measured an epoch has a checkpoint of the epoch, but not its figures.
    if len(found) == trainer.done - 1:
        measure()
    if len(found) != trainer.done:
        raise DataError(f"{record}: required the figures of {trainer.done} epochs, got {len(found)}: remove {work}")
    while not _is_over(found, options.patience):
        if next(trainer.epochs(advance), None) is None:
            break
        measure()
    return found


def _is_over(found: Sequence[tuple[Quality, ...]], patience: int) -> bool:
    values = [_mean_mrr(each) for each in found]
    return bool(values) and len(values) - 1 - int(np.argmax(values)) >= patience


def _mean_mrr(measured: tuple[Quality, ...]) -> float:
    return sum(each.mrr for each in measured) / len(measured)


def _read(record: Path) -> list[tuple[Quality, ...]]:
    if not record.exists():
        return []
    return [tuple(Quality(*each) for each in json.loads(line)) for line in record.read_text("utf-8").splitlines()]


def _write(record: Path, found: Sequence[tuple[Quality, ...]]) -> None:
    unfinished = record.with_suffix(".tmp")
    unfinished.write_text("".join(f"{json.dumps(each)}\n" for each in found), "utf-8")
    unfinished.replace(record)


def _part(shop: ShopEvents, end: int | None, horizon: int) -> Shop:
    given = shop.given if end is None else shop.given.before(end)
    return Shop(given, targets(given, horizon), shop.vectors)


def _actions(parts: Sequence[Shop], plan: Plan) -> int:
    """Return about how many actions an epoch has."""
    sizes = [len(part.given) for part in parts]
    return min(sizes) * len(sizes) if plan.equal else sum(sizes)


def _digest(shops: Sequence[ShopEvents]) -> str:
    found = hashlib.sha256()
    for shop in shops:
        given = shop.given
        for column in (given.item, given.action, given.at_ms, given.session, given.starts, shop.vectors.numpy()):
            found.update(np.ascontiguousarray(column).tobytes())
    return found.hexdigest()
