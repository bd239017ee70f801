"""The training loop, with checkpoints, and its losses. A killed run resumes from a checkpoint with the same result.

The losses are over the L2-normalised vectors of one batch; S are the student's, T the teacher's.

cosine      mean of 1 − s·t
matrix      mean of (S Sᵀ − T Tᵀ)², the similarities among the texts of a batch, times MATRIX_SCALE
contrast    InfoNCE in both directions (van den Oord, Li & Vinyals 2018, arXiv:1807.03748) with in-batch negatives.
            Negatives that are nearer than the pair itself by the teacher's vectors are left out (GISTEmbed, Solatorio
            2024, arXiv:2402.16829): most of them belong to the anchor as well
grades      ListNet (Cao et al. 2007, doi:10.1145/1273496.1273513): cross-entropy of softmax(s / τ) to softmax(grade)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy, log_softmax

from inference.errors import DataError
from training.distillation.batches import Batch, Sampler
from training.distillation.history import Step
from training.distillation.plan import Stage, learning_rate
from training.distillation.student import SentenceEncoder, Tokens

CLIP = 1.0
MATRIX_SCALE = 10.0
TEMPERATURE = 0.05
WORD_TABLE = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of stages on one corpus.

    `name` identifies its checkpoint in the folder. `digest` identifies everything that the result depends on. `vectors`
    are the teacher's, float16 (texts, dim). With `fixed`, only the word table is trained, without the rows that are
    True in it.
    """

    name: str
    digest: str
    stages: tuple[Stage, ...]
    sampler: Sampler
    tokens: Tokens
    vectors: npt.NDArray[np.float16]
    warm_up: float
    weight_decay: float
    bfloat16: bool
    fixed: npt.NDArray[np.bool_] | None = None


def prepare(threads: int) -> None:
    """Set the number of threads of this process. With more than one, the last digits of the result depend on it."""
    torch.set_num_threads(threads)


def train(
    encoder: SentenceEncoder,
    run: Run,
    folder: Path,
    *,
    every_seconds: float = 120.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Step]:
    """Train `encoder` in place and yield each step. The run resumes from its checkpoint in `folder`, if there is one.

    Raises:
        DataError: the checkpoint is of another run, or the loss is no longer a number.
    """
    path = folder / f"{run.name}.pt"
    for name, each in encoder.named_parameters():
        each.requires_grad_(run.fixed is None or name.endswith(WORD_TABLE))
    at, step, optimiser = _resume(encoder, run, path)
    saved = clock()
    for index in range(at, len(run.stages)):
        stage = run.stages[index]
        optimiser = optimiser or _optimiser(encoder, stage, run.weight_decay)
        for number in range(step, stage.steps):
            began = clock()
            losses, texts = _step(encoder, optimiser, run, stage, index, number)
            seconds = clock() - began
            if clock() - saved >= every_seconds:
                _save(path, run, encoder, optimiser, index, number + 1)
                saved = clock()
            yield Step(run=run.name, stage=stage.name, step=number, losses=losses, texts=texts, seconds=seconds)
        # Each stage begins with a new optimiser, so a checkpoint between two stages has none.
        step, optimiser = 0, None
        _save(path, run, encoder, None, index + 1, 0)


def _step(
    encoder: SentenceEncoder, optimiser: torch.optim.Optimizer, run: Run, stage: Stage, index: int, number: int
) -> tuple[dict[str, float], int]:
    batch = run.sampler.batch(stage, index, number)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(number, stage.horizon or stage.steps, stage.rate * group["share"], run.warm_up)
    encoder.train()
    student = run.tokens.encode(encoder, batch.texts.tolist(), bfloat16=run.bfloat16)
    teacher = torch.from_numpy(run.vectors[batch.texts].astype(np.float32))
    losses = weighted_losses(student, torch.nn.functional.normalize(teacher, dim=-1), batch, stage)
    total = torch.stack(list(losses.values())).sum()
    if not bool(torch.isfinite(total)):
        raise DataError(f"{run.name}, {stage.name}, step {number}: the loss is {float(total)}: use a lower rate")
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    if run.fixed is not None:
        encoder.get_parameter(f"bert.{WORD_TABLE}").grad[torch.from_numpy(run.fixed)] = 0
    torch.nn.utils.clip_grad_norm_(encoder.parameters(), CLIP)
    optimiser.step()
    return {name: float(each.detach()) for name, each in losses.items()}, len(batch.texts)


def _optimiser(encoder: SentenceEncoder, stage: Stage, decay: float) -> torch.optim.Optimizer:
    """Return AdamW. The embedding tables have no decay, so that rows of words without training data do not change."""
    tables: list[torch.Tensor] = []
    matrices: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    for name, each in encoder.named_parameters():
        if not each.requires_grad:
            continue
        (tables if "embeddings" in name else matrices if each.ndim > 1 else others).append(each)
    groups: list[dict[str, Any]] = [
        {"params": matrices, "share": 1.0, "weight_decay": decay},
        {"params": others, "share": 1.0, "weight_decay": 0.0},
        {"params": tables, "share": stage.table, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.rate, betas=(0.9, 0.98), fused=True)


def _save(
    path: Path, run: Run, encoder: SentenceEncoder, optimiser: torch.optim.Optimizer | None, at: int, step: int
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    state = {
        "digest": run.digest,
        "at": at,
        "step": step,
        "encoder": encoder.state_dict(),
        "optimiser": optimiser.state_dict() if optimiser else None,
        "random": torch.get_rng_state(),
    }
    torch.save(state, unfinished)
    unfinished.replace(path)


def _resume(encoder: SentenceEncoder, run: Run, path: Path) -> tuple[int, int, torch.optim.Optimizer | None]:
    """Return the stage, the step and the optimiser to resume with, after loading the encoder's weights."""
    if not path.exists():
        return 0, 0, None
    state = torch.load(path, weights_only=True)
    if state["digest"] != run.digest:
        raise DataError(f"{path}: a checkpoint of another plan or corpus; remove it, or choose another folder")
    encoder.load_state_dict(state["encoder"])
    torch.set_rng_state(state["random"])
    if state["optimiser"] is None:
        return state["at"], 0, None
    optimiser = _optimiser(encoder, run.stages[state["at"]], run.weight_decay)
    optimiser.load_state_dict(state["optimiser"])
    return state["at"], state["step"], optimiser


def weighted_losses(
    student: torch.Tensor, teacher: torch.Tensor, batch: Batch, stage: Stage
) -> dict[str, torch.Tensor]:
    """Return each loss with a weight in `stage`, weighted. Vectors are float32 (texts, dim)."""
    found = {}
    if stage.cosine:
        found["cosine"] = stage.cosine * (1 - (student * teacher).sum(-1)).mean()
    if stage.matrix:
        found["matrix"] = stage.matrix * MATRIX_SCALE * (student @ student.T - teacher @ teacher.T).square().mean()
    if stage.contrast:
        found["contrast"] = stage.contrast * contrastive_loss(student, teacher, batch)
    if stage.grades and batch.graded:
        found["grades"] = stage.grades * graded_loss(student, batch)
    return found


def contrastive_loss(student: torch.Tensor, teacher: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return InfoNCE over the pairs of two different texts; 0 without any."""
    together = batch.left != batch.right
    if not together.any():
        # A zero that has a gradient, so that the step needs no special case.
        return student.sum() * 0
    # Pairs of one text with itself are left out, which renumbers the others: `numbers` maps old places to new ones.
    numbers = together.cumsum() - 1
    known = together[batch.anchors] if len(batch.anchors) else batch.anchors.astype(bool)
    left, right = torch.from_numpy(batch.left[together]), torch.from_numpy(batch.right[together])
    forth = _cross_entropy_of_pairs(
        student, teacher, left, right,
        torch.from_numpy(numbers[batch.anchors[known]]), torch.from_numpy(batch.negatives[known]),
    )  # fmt: skip
    none = torch.empty(0, dtype=torch.int64)
    back = _cross_entropy_of_pairs(student, teacher, right, left, none, none)
    return (forth + back) / 2


def _cross_entropy_of_pairs(
    student: torch.Tensor,
    teacher: torch.Tensor,
    left: torch.Tensor,
    right: torch.Tensor,
    anchors: torch.Tensor,
    negatives: torch.Tensor,
) -> torch.Tensor:
    """Return the cross-entropy of each left side to its right side among all right sides and the known negatives."""
    candidates = torch.cat([right, negatives])
    scores = student[left] @ student[candidates].T / TEMPERATURE
    with torch.no_grad():
        # Candidates begin with the right sides, so the diagonal has the pairs themselves.
        near = teacher[left] @ teacher[candidates].T
        own = near.diagonal().unsqueeze(1)
        dropped = (
            (near > own)
            | (candidates.unsqueeze(0) == right.unsqueeze(1))
            | (candidates.unsqueeze(0) == left.unsqueeze(1))
        )
        # People labelled these as not belonging together, so they stay even if they are near by the teacher's vectors.
        dropped[anchors, len(right) + torch.arange(len(negatives))] = False
        dropped.diagonal().fill_(False)
    return cross_entropy(scores.masked_fill(dropped, float("-inf")), torch.arange(len(left)))


def graded_loss(student: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the mean ListNet loss of the graded queries whose items differ in their grades."""
    losses = []
    for each in batch.graded:
        if len(set(each.grades.tolist())) > 1:
            scores = student[torch.from_numpy(each.items)] @ student[each.query] / TEMPERATURE
            wanted = torch.softmax(torch.from_numpy(each.grades).float(), 0)
            # The entropy of the target is subtracted, so that a perfect order has the loss 0 whatever its grades.
            losses.append(-(wanted * log_softmax(scores, 0)).sum() + (wanted * wanted.log()).sum())
    return torch.stack(losses).mean() if losses else student.sum() * 0
