"""A transferable model: its start, the weights that are trained, its loss, and its batches of several shops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

import torch

from training.sequence.batches import Batch, Shop
from training.sequence.histories import Histories, targets
from training.sequence.model import SequenceModel, Shape, Windows, principal_axes
from training.sequence.train import Plan, Trainer, loss_of

GROUPS, OF_A_GROUP, DIM = 12, 5, 24
ITEMS = GROUPS * OF_A_GROUP + 1
POPULAR = ITEMS - 1
SHAPE = Shape(width=24, transferable=True, dropout=0)
PLAN = Plan(epochs=4, rate=0.05, decay=0, batch=16)
TRAINED = {"skip", "log_scale", "popular", "blocks.0.ranks", "blocks.0.gaps"}


def shop(seed: int, shoppers: int, popular: float) -> Shop:
    """Return a shop in which an item of the same group comes next, or one popular item with this probability."""
    draw = np.random.default_rng(seed)
    vectors = np.repeat(draw.normal(size=(GROUPS, DIM)), OF_A_GROUP, axis=0) + 0.3 * draw.normal(size=(ITEMS - 1, DIM))
    vectors = np.concatenate([vectors, draw.normal(size=(1, DIM))])
    items = []
    for _ in range(shoppers):
        for _pair in range(6):
            group = int(draw.integers(GROUPS)) * OF_A_GROUP
            first, second = group + draw.permutation(OF_A_GROUP)[:2]
            items += [first, POPULAR if draw.random() < popular else second]
    each = np.arange(len(items)) % 12
    given = Histories(
        item=np.array(items, dtype=np.int64),
        action=np.full(len(items), 3),
        at_ms=60_000 * each,
        session=np.arange(len(items)) // 2,
        position=np.arange(len(items)),
        starts=np.arange(0, len(items) + 1, 12),
        items=ITEMS,
    )  # fmt: skip
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Shop(given, targets(given, 1), torch.from_numpy(unit.astype(np.float32)))


def made(vectors: torch.Tensor) -> SequenceModel:
    torch.manual_seed(0)
    model = SequenceModel(SHAPE, DIM, ITEMS)
    model.keep_projection(principal_axes(vectors, SHAPE.width))
    return model


def trained(shops: list[Shop], plan: Plan = PLAN) -> SequenceModel:
    model = made(torch.cat([each.vectors for each in shops]))
    for _ in Trainer(model, shops, plan).epochs():
        pass
    model.eval()
    return model


def test_an_untrained_model_finds_the_newest_item() -> None:
    given = shop(0, 4, popular=0)
    model = made(given.vectors).eval()
    windows = Windows(
        torch.arange(10)[None], torch.zeros(1, 10, dtype=torch.long), torch.arange(10)[None] * 60_000,
        torch.zeros(1, 10, dtype=torch.long),
    )  # fmt: skip
    with torch.no_grad():
        table = model.items(given.vectors)
        found = (model(table, windows)[0] @ table.T).argmax(-1)
    assert found.tolist() == list(range(10))


def test_only_the_attention_is_trained() -> None:
    given = shop(0, 40, popular=0.5)
    before, after = made(given.vectors).state_dict(), trained([given]).state_dict()
    assert {name for name in before if not torch.equal(before[name], after[name])} == TRAINED


def test_the_loss_is_that_of_a_mixture_with_popularity() -> None:
    given = shop(0, 4, popular=0.5)
    model = made(given.vectors).eval()
    windows = Windows(*(torch.tensor([[0, value]]) for value in (6, 0, 60_000, 0)))
    batch = Batch(windows, torch.tensor([1]), torch.tensor([7]), torch.tensor([1.0]))
    frequency = torch.full((ITEMS,), 1 / ITEMS)
    with torch.no_grad():
        table = model.items(given.vectors)
        by_items = (model(table, windows)[0, 1] @ table.T * model.scale).softmax(-1)[7]
        loss = loss_of(model, given, batch, PLAN, frequency)
    torch.testing.assert_close(loss, -(0.5 * by_items + 0.5 / ITEMS).log())


def test_with_equal_a_large_shop_has_as_many_batches_as_a_small_one() -> None:
    small, large = shop(0, 20, popular=0), shop(1, 200, popular=0)
    model = made(torch.cat([small.vectors, large.vectors]))
    drawn: list[int] = []
    for _ in Trainer(model, [small, large], replace(PLAN, epochs=1, equal=True)).epochs(drawn.append):
        pass
    # 2 batches of each shop: 20 sequences of the small one in 16 + 4, and 2 · 16 of the large one.
    assert sum(drawn) == (20 + 32) * 12
