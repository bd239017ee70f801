"""The losses of the student over one batch of L2-normalised vectors; S are the student's, T the teacher's.

cosine      mean of 1 − s·t
matrix      mean of (S Sᵀ − T Tᵀ)², the similarities among the texts of a batch, times MATRIX_SCALE
contrast    InfoNCE in both directions (van den Oord, Li & Vinyals 2018, arXiv:1807.03748) with in-batch negatives.
            Negatives that are nearer than the pair itself by the teacher's vectors are left out (GISTEmbed, Solatorio
            2024, arXiv:2402.16829): most of them belong to the anchor as well
grades      ListNet (Cao et al. 2007, doi:10.1145/1273496.1273513): cross-entropy of softmax(s / τ) to softmax(grade)
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, log_softmax

from training.distillation.batches import Batch
from training.distillation.plan import Stage

MATRIX_SCALE = 10.0
TEMPERATURE = 0.05


def loss(student: torch.Tensor, teacher: torch.Tensor, batch: Batch, stage: Stage) -> dict[str, torch.Tensor]:
    """Return each loss with a weight in `stage`, weighted. Vectors are float32 (texts, dim)."""
    found = {}
    if stage.cosine:
        found["cosine"] = stage.cosine * (1 - (student * teacher).sum(-1)).mean()
    if stage.matrix:
        found["matrix"] = stage.matrix * MATRIX_SCALE * (student @ student.T - teacher @ teacher.T).square().mean()
    if stage.contrast:
        found["contrast"] = stage.contrast * contrast(student, teacher, batch)
    if stage.grades and batch.graded:
        found["grades"] = stage.grades * grades(student, batch)
    return found


def contrast(student: torch.Tensor, teacher: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return InfoNCE over the pairs of two different texts; 0 without any."""
    together = batch.left != batch.right
    if not together.any():
        return student.sum() * 0
    numbers = together.cumsum() - 1
    known = together[batch.anchors] if len(batch.anchors) else batch.anchors.astype(bool)
    left, right = torch.from_numpy(batch.left[together]), torch.from_numpy(batch.right[together])
    forth = _candidates(
        student, teacher, left, right,
        torch.from_numpy(numbers[batch.anchors[known]]), torch.from_numpy(batch.negatives[known]),
    )  # fmt: skip
    none = torch.empty(0, dtype=torch.int64)
    back = _candidates(student, teacher, right, left, none, none)
    return (forth + back) / 2


def _candidates(
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


def grades(student: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the mean ListNet loss of the graded queries whose items differ in their grades."""
    losses = []
    for each in batch.graded:
        if len(set(each.grades.tolist())) > 1:
            scores = student[torch.from_numpy(each.items)] @ student[each.query] / TEMPERATURE
            wanted = torch.softmax(torch.from_numpy(each.grades).float(), 0)
            losses.append(-(wanted * log_softmax(scores, 0)).sum() + (wanted * wanted.log()).sum())
    return torch.stack(losses).mean() if losses else student.sum() * 0
