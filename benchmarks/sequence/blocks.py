"""Blocks and a loss that the shipped sequence model does not have: HSTU, LRURec and gSASRec.

Each block takes what `training.sequence.model.Block` takes and returns what it returns, so that only the block changes.
The second result, a weight for each pair of actions, is the share of the older action's item in the output. `shape` is
that of the model; both blocks are as wide as the shipped one.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import pad, silu, softplus

from inference.kernels.gaps import GAPS
from inference.queries import RECENT
from training.sequence.batches import Batch, Shop
from training.sequence.model import SequenceModel, Shape
from training.sequence.train import Plan

SLOWEST, FASTEST = 0.99, 0.8
"""Greatest and least modulus of a state's factor at the start, as in LRURec."""


class GatedBlock(nn.Module):  # type: ignore[misc]
    """A block of HSTU (Zhai et al. 2024, arXiv:2402.17152): attention without softmax, and a gate.

    U, V, Q, K = SiLU(linear(x)), weights = SiLU(Q Kᵀ + biases) / number of visible actions, and the block adds
    linear(norm(weights V) ⊙ U). There is no feed-forward layer. The biases of rank and time are those of the shipped
    block; those of rank start at 1, so that all weights start positive.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.norm, self.norm_too = nn.LayerNorm(width), nn.LayerNorm(width)
        self.enter, self.leave = nn.Linear(width, 4 * width), nn.Linear(width, width)
        self.ranks = nn.Parameter(torch.ones(shape.heads, RECENT))
        self.gaps = nn.Parameter(torch.zeros(shape.heads, GAPS))
        self.drop = nn.Dropout(shape.dropout)

    def forward(
        self, x: torch.Tensor, seen: torch.Tensor, ranks: torch.Tensor, gaps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the actions (B, T, width) after the block, and the weights of the attention, (B, heads, T, T)."""
        batch, size, width = x.shape
        gate, *others = silu(self.enter(self.norm(x))).chunk(4, dim=-1)
        value, query, key = (each.view(batch, size, self.heads, -1).transpose(1, 2) for each in others)
        logits = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5
        logits = logits + self.ranks[:, ranks].transpose(0, 1) + self.gaps[:, gaps].transpose(0, 1)
        visible = seen[:, None]
        weights = silu(logits).masked_fill(~visible, 0) / visible.sum(-1, keepdim=True).clamp(min=1)
        mixed = (weights @ value).transpose(1, 2).reshape(batch, size, width)
        return x + self.drop(self.leave(self.norm_too(mixed) * gate)), weights


class RecurrentBlock(nn.Module):  # type: ignore[misc]
    """A block of LRURec (Yue et al. 2024, arXiv:2310.02367): a linear recurrence, and a feed-forward layer.

    h_t = λ ⊙ h_(t−1) + γ ⊙ B y_t with complex states h (width,), and the block adds the real part of C h_t. The gap to
    the action before enters as an addition to y_t, in place of the biases of the attention. The state is that of all
    actions, repeated ones as well, not of the RECENT newest items. An item's share in the output decays by a learned
    factor with each action after it.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        squared = torch.rand(width) * (SLOWEST**2 - FASTEST**2) + FASTEST**2
        # λ = exp(−exp(decay) + i exp(angle)), so |λ| < 1 whatever is learned.
        self.decay = nn.Parameter((-0.5 * squared.log()).log())
        self.angle = nn.Parameter((2 * math.pi * torch.rand(width)).clamp(min=1e-3).log())
        self.factor = nn.Parameter((1 - squared).sqrt().log())
        self.norm, self.norm_too = nn.LayerNorm(width), nn.LayerNorm(width)
        self.enter, self.leave = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.up, self.down = nn.Linear(width, shape.hidden), nn.Linear(shape.hidden, width)
        self.gaps = nn.Embedding(GAPS, width)
        nn.init.zeros_(self.gaps.weight)
        self.shares = nn.Parameter(torch.linspace(-1, 1, shape.heads))
        self.drop = nn.Dropout(shape.dropout)

    def forward(
        self, x: torch.Tensor, _seen: torch.Tensor, _ranks: torch.Tensor, gaps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the actions (B, T, width) after the block, and the shares of the items, (1, heads, T, T)."""
        size = x.shape[1]
        before = pad(gaps.diagonal(-1, dim1=1, dim2=2), (1, 0))
        real, imaginary = self.enter(self.norm(x) + self.gaps(before)).chunk(2, dim=-1)
        state = recurrence(
            torch.complex(real, imaginary) * self.factor.exp(), torch.complex(-self.decay.exp(), self.angle.exp())
        )
        x = x + self.drop(self.leave(torch.cat([state.real, state.imag], dim=-1)))
        x = x + self.drop(self.down(torch.relu(self.up(self.norm_too(x)))))
        steps = torch.arange(size)[:, None] - torch.arange(size)
        kept = self.shares.sigmoid()[:, None, None]
        shares = ((1 - kept) * kept ** steps.clamp(min=0)).masked_fill(steps < 0, 0)
        return x, shares[None]


def recurrence(inputs: torch.Tensor, log_factor: torch.Tensor) -> torch.Tensor:
    """Return h_t = exp(log_factor) ⊙ h_(t−1) + inputs_t, complex (B, T, width), in log₂ T steps.

    After the step of length n a state is the sum over the last 2n inputs, because the factor is the same at all times.
    """
    step, size = 1, inputs.shape[1]
    while step < size:
        older = torch.cat([torch.zeros_like(inputs[:, :step]), inputs[:, :-step]], dim=1)
        inputs = inputs + (step * log_factor).exp() * older
        step *= 2
    return inputs


def add_offset(model: SequenceModel, negatives: int) -> None:
    """Give a model the offset of the logits that `gbce` needs: cosines of all items have a mean near 0.

    It starts where the probabilities of `negatives` items have a sum near 1.
    """
    model.offset = nn.Parameter(torch.tensor(-math.log(negatives)))


def gbce(
    model: SequenceModel, shop: Shop, batch: Batch, plan: Plan, _frequency: torch.Tensor, t: float
) -> torch.Tensor:
    """Return the loss of gSASRec (Petrov & Macdonald 2023, arXiv:2308.07192).

    −β log σ(s⁺) − Σ log(1 − σ(s⁻)) over `plan.negatives` uniform negatives for each sequence, with
    α = negatives / (items − 1) and β = α (t (1 − 1/α) + 1/α). t = 0 is the binary cross-entropy; t = 1 gives calibrated
    probabilities. The sum is not divided by the number of negatives: Adam ignores the factor, apart from its ε.
    """
    table = model.items(shop.vectors)
    outputs = model(table, batch.windows)
    count, size, _ = outputs.shape
    drawn = torch.randint(0, len(table), (count, plan.negatives))
    rows, inverse = batch.places.unique(return_inverse=True)
    # (B, T, width) · (B, width, negatives): the negatives of a sequence are those of all its actions.
    logits = (outputs @ table[drawn].transpose(1, 2)).flatten(0, 1)[rows] * model.scale + model.offset
    costs = softplus(logits)
    own = (outputs.flatten(0, 1)[batch.places] * table[batch.items]).sum(-1) * model.scale + model.offset
    alpha = min(plan.negatives / max(len(table) - 1, 1), 1.0)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    # A target that was drawn is no negative of its own.
    is_target = drawn[batch.places // size] == batch.items[:, None]
    against = costs.sum(-1)[inverse] - (costs[inverse] * is_target).sum(-1)
    return (batch.weights * (beta * softplus(-own) + against)).sum() / max(len(rows), 1)
