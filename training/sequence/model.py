"""The sequence model in torch, for training.

An item is its vector from the encoder, projected to `width` dimensions. A residual for each item of the shop can be
added; it is 0 for new items. The newest action attends to the shopper's visible actions (self-attention, Vaswani et al.
2017, arXiv:1706.03762, as in SASRec, Kang & McAuley 2018, doi:10.1109/ICDM.2018.00035). Position and time enter as
biases of the attention (HSTU, Zhai et al. 2024, arXiv:2402.17152): the rank of an action among the distinct newest
items, and the logarithm of the time between the two actions. The output is a unit vector. Its cosine to an item is the
item's score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import normalize

from inference.kernels.gaps import GAPS
from inference.queries import ACTIONS, RECENT

SHARPEST = 30.0
"""Greatest factor of a cosine in the logits."""
RATIOS, SHARES = (0.3, 0.8), (0.8, 0.2)
"""Start of the attention, for the first head and for each other one: the ratio of the weights of an action and of the
next newer one. The shares of the first head and of all others together in the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The form of a model.

    Attributes:
        width: dimensions of items and outputs.
        blocks: number of blocks.
        heads: heads of the attention.
        hidden: units of the feed-forward layer.
        residual: whether each item of the shop has a residual.
        dropout: dropout rate.
        forget: share of the items whose residual is left out of a batch, so that content is learned as well.
        transferable: whether the model is for other shops: only the biases of the attention, the weights of its heads,
            the scale and the share of popular targets are trained. An output is a weighted mean of the newest items.
            The projection is given, see `principal_axes`.
    """

    width: int = 64
    blocks: int = 1
    heads: int = 2
    hidden: int = 128
    residual: bool = False
    dropout: float = 0.2
    forget: float = 0.0
    transferable: bool = False


class Windows(NamedTuple):
    """B sequences of T actions: items (-1 for padding), actions, times in ms, and the buckets of the pauses, (B, T)."""

    items: torch.Tensor
    actions: torch.Tensor
    at_ms: torch.Tensor
    pauses: torch.Tensor


def gap_buckets(gap_ms: torch.Tensor) -> torch.Tensor:
    """Return the bucket of each time, as `inference.kernels.gaps.gap_bucket` does."""
    # Buckets begin at 1 s, 4 s, 16 s …: `right=True` puts a time that equals a start into its bucket, as the served
    # kernel does.
    starts = 1000 * 4 ** torch.arange(GAPS - 1)
    return torch.bucketize(gap_ms, starts, right=True)


def visible(items: torch.Tensor, newest: int = RECENT) -> tuple[torch.Tensor, torch.Tensor]:
    """Return whether each action sees each other one, bool (B, T, T), and the other's rank from the newest, (B, T, T).

    Action t sees what a profile has after it: the newest action on each of the `newest` newest items. `items` (B, T)
    are those of the actions, -1 for padding.
    """
    size = items.shape[1]
    causal = torch.ones(size, size, dtype=torch.bool).tril()
    seen = causal & (items >= 0)[:, None, :]
    # later[t, s]: a later action than s, at t or before, is on the same item.
    same = (items[:, :, None] == items[:, None, :]) & torch.ones(size, size, dtype=torch.bool).tril(-1)
    later = same.to(torch.uint8).cummax(dim=1).values.bool()
    seen = seen & ~later
    # The number of visible actions after s: the sum from s to the end, without s itself.
    ranks = seen.flip(-1).cumsum(-1).flip(-1) - seen.long()
    return seen & (ranks < newest), ranks.clamp(max=newest - 1)


def gaps_between(at_ms: torch.Tensor) -> torch.Tensor:
    """Return the bucket of the time from each action to each other one, (B, T, T). `at_ms` (B, T) are their times."""
    # Later actions are masked, and events of one time may be out of order by their clocks, so negative times become 0.
    return gap_buckets((at_ms[:, :, None] - at_ms[:, None, :]).clamp(min=0))


def _starts(heads: int) -> torch.Tensor:
    """Return for each head its place in RATIOS and SHARES."""
    return torch.arange(heads).clamp(max=1)


def rank_biases(heads: int, number: int = RECENT) -> torch.Tensor:
    """Return the biases of `number` ranks at the start, (heads, number): newer actions count more.

    With equal weights of all ranks, the first epochs would learn no more than that.
    """
    return torch.tensor(RATIOS)[_starts(heads), None].log() * torch.arange(number)


class Block(nn.Module):  # type: ignore[misc]
    """One block: each action attends to the visible ones, then a feed-forward layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.shape = shape
        self.norm = nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.ranks = nn.Parameter(rank_biases(shape.heads))
        self.gaps = nn.Parameter(torch.zeros(shape.heads, GAPS))
        self.norm_too = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, shape.hidden), nn.Linear(shape.hidden, width)
        self.drop = nn.Dropout(shape.dropout)

    def forward(
        self, x: torch.Tensor, seen: torch.Tensor, ranks: torch.Tensor, gaps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the actions (B, T, width) after the block, and the weights of the attention, (B, heads, T, T)."""
        mixed, weights = self._attend(self.norm(x), seen, ranks, gaps)
        x = x + self.drop(mixed)
        return x + self.drop(self.down(torch.relu(self.up(self.norm_too(x))))), weights

    def _attend(
        self, y: torch.Tensor, seen: torch.Tensor, ranks: torch.Tensor, gaps: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        batch, size, width = y.shape
        heads = self.shape.heads

        def split(z: torch.Tensor) -> torch.Tensor:
            return z.view(batch, size, heads, width // heads).transpose(1, 2)

        query, key, value = split(self.query(y)), split(self.key(y)), split(self.value(y))
        logits = query @ key.transpose(-1, -2) * (width // heads) ** -0.5
        logits = logits + self.ranks[:, ranks].transpose(0, 1) + self.gaps[:, gaps].transpose(0, 1)
        # Each action sees itself, and padding comes after it, so no softmax is over −∞ alone.
        weights = logits.masked_fill(~seen[:, None], float("-inf")).softmax(-1)
        return self.out((self.drop(weights) @ value).transpose(1, 2).reshape(batch, size, width)), weights


class SequenceModel(nn.Module):  # type: ignore[misc]
    """Maps sequences of actions to unit vectors, and items to unit vectors of the same space."""

    def __init__(self, shape: Shape, dim: int, items: int) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.project = nn.Linear(dim, width)
        # With a bias, all items would begin near to one vector.
        nn.init.zeros_(self.project.bias)
        self.residual = nn.Embedding(items, width) if shape.residual else None
        if self.residual is not None:
            nn.init.normal_(self.residual.weight, std=0.02)
        self.enter = nn.Linear(width, width)
        self.actions = nn.Embedding(len(ACTIONS), width)
        self.pauses = nn.Embedding(GAPS, width)
        nn.init.zeros_(self.actions.weight)
        nn.init.zeros_(self.pauses.weight)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, width)
        self.drop = nn.Dropout(shape.dropout)
        self.log_scale = nn.Parameter(torch.tensor(2.5))
        # The items themselves, weighted by the attention of the last block, are added to the output. So an untrained
        # model looks for items like the newest ones.
        starts = _starts(shape.heads)
        self.skip = nn.Parameter(torch.tensor(SHARES)[starts] / starts.bincount()[starts])
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        if shape.transferable:
            self._train_attention_alone()
        # The logit of the share of targets that their popularity explains, see `loss_of`.
        self.popular = nn.Parameter(torch.zeros(())) if shape.transferable else None

    @property
    def scale(self) -> torch.Tensor:
        """The factor of a cosine in the logits."""
        return self.log_scale.exp().clamp(max=SHARPEST)

    def _train_attention_alone(self) -> None:
        """Keep the weights that read what an item is: what they learn in one shop is wrong in another one."""
        block = self.blocks[-1]
        for each in self.parameters():
            each.requires_grad_(False)
        for each in (block.ranks, block.gaps, self.skip, self.log_scale):
            each.requires_grad_(True)
        # Without a query the attention depends on ranks and times alone.
        nn.init.zeros_(block.query.weight)
        nn.init.zeros_(block.query.bias)

    def keep_projection(self, axes: torch.Tensor) -> None:
        """Project items by `axes`, (width, dim), for a transferable model."""
        with torch.no_grad():
            self.project.weight.copy_(axes)

    def items(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (n, width) of all items from the encoder's vectors (n, dim)."""
        projected = self.project(vectors)
        if self.residual is not None:
            kept = 1.0
            if self.training and self.shape.forget:
                kept = (torch.rand(len(projected), 1) >= self.shape.forget).float()
            projected = projected + kept * self.residual.weight
        return normalize(projected, dim=-1)

    def relations(self, windows: Windows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return whether each action sees each other one, the other's rank, and the bucket of the gap, (B, T, T)."""
        return *visible(windows.items), gaps_between(windows.at_ms)

    def forward(self, table: torch.Tensor, windows: Windows) -> torch.Tensor:
        """Return the output after each action, unit vectors (B, T, width). `table` is that of `items`."""
        seen, ranks, gaps = self.relations(windows)
        x = self.enter(self.drop(table[windows.items.clamp(min=0)] * self.shape.width**0.5))
        x = x + self.actions(windows.actions)
        weights = torch.empty(0)
        for block in self.blocks:
            x, weights = block(x, seen, ranks, gaps)
        output = self.leave(self.norm(x + self.pauses(windows.pauses)))
        shares = (weights * self.skip[:, None, None]).sum(1)
        return normalize(output + shares @ table[windows.items.clamp(min=0)], dim=-1)


def principal_axes(vectors: torch.Tensor, width: int) -> torch.Tensor:
    """Return the projection to the `width` strongest principal axes, half whitened, (width, dim).

    Each axis is divided by the root of its deviation. It keeps most of the similarity of texts, also in other shops.
    Vectors of fewer axes leave rows of 0.
    """
    centred = vectors - vectors.mean(0)
    _, deviations, axes = torch.linalg.svd(centred, full_matrices=False)
    # The bound keeps axes with nearly no deviation from outweighing all others.
    scales = (deviations[:1] / deviations.clamp(min=1e-3 * float(deviations[0]))).sqrt()
    kept = torch.zeros(width, vectors.shape[1])
    number = min(width, len(axes))
    kept[:number] = axes[:number] * scales[:number, None]
    return kept
