"""Every variant of the sequence model learns the next item and sees no later action; formulas equal plain loops."""

from __future__ import annotations

import math
from argparse import Namespace
from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

import torch

from benchmarks.sequence.blocks import GatedBlock, add_offset, gbce, recurrence
from benchmarks.sequence.inputs import Inputs, ShopLog
from benchmarks.sequence.variants import SHIPPED, VARIANTS, Run, new_model, report, train
from training.sequence.batches import Sampler
from training.sequence.fit import ShopEvents
from training.sequence.histories import Histories
from training.sequence.model import Shape, Windows, gap_buckets
from training.sequence.train import Plan

ITEMS, SHOPPERS, LENGTH = 8, 200, 4


@pytest.fixture
def shop() -> ShopLog:
    """Return a shop without searches in which item n + 1 follows item n, with a shopper every hour."""
    shopper, step = np.divmod(np.arange(SHOPPERS * LENGTH), LENGTH)
    given = Histories(
        item=(shopper + step) % ITEMS,
        action=np.zeros_like(step),
        at_ms=shopper * 3_600_000 + step * 60_000,
        session=shopper,
        position=shopper * LENGTH + step,
        starts=np.arange(SHOPPERS + 1) * LENGTH,
        items=ITEMS,
    )
    vectors = torch.nn.functional.normalize(torch.from_numpy(np.random.default_rng(0).normal(size=(ITEMS, 12))), dim=-1)
    return ShopLog(ShopEvents(given, vectors.float(), len(given)), given, torch.zeros(0, 12))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_learns_the_next_item(name: str, shop: ShopLog) -> None:
    run = train(VARIANTS[name], shop, Namespace(epochs=25, rate=1e-2, patience=25, lists=100), seed=0)
    assert (1 / run.test).mean() > 0.8
    assert run.shoppers.tolist() == np.repeat(np.arange(180, 200), 3).tolist(), "the last action has no target"


@pytest.mark.parametrize("name", VARIANTS)
def test_later_actions_do_not_change_an_output(name: str, shop: ShopLog) -> None:
    model = new_model(VARIANTS[name], shop, 0).eval()
    for each in model.parameters():
        torch.nn.init.normal_(each, std=0.3)
    outputs = []
    for last in (3, 5):
        items, at_ms = torch.tensor([[0, 1, 2, last]]), torch.tensor([[0, 2_000, 70_000, 70_000 * last]])
        windows = Windows(items, torch.zeros_like(items), at_ms, gap_buckets(torch.zeros_like(items)))
        outputs.append(model(model.items(shop.shop.vectors), windows)[0])
    torch.testing.assert_close(outputs[0][:3], outputs[1][:3])
    assert not torch.allclose(outputs[0][3], outputs[1][3], atol=1e-3)


def test_the_recurrence_is_that_of_a_loop() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 7, 3, dtype=torch.complex64)
    log_factor = torch.complex(-torch.rand(3), torch.randn(3))
    state, expected = torch.zeros(2, 3, dtype=torch.complex64), []
    for step in range(7):
        state = log_factor.exp() * state + inputs[:, step]
        expected.append(state)
    torch.testing.assert_close(recurrence(inputs, log_factor), torch.stack(expected, dim=1))


def test_the_gated_block_is_that_of_the_paper() -> None:
    torch.manual_seed(0)
    block = GatedBlock(Shape(width=4, heads=1)).eval()
    torch.nn.init.normal_(block.gaps)
    x, gaps = torch.randn(1, 3, 4), torch.tensor([[[0, 0, 0], [2, 0, 0], [5, 1, 0]]])
    seen = torch.tensor([[[True, False, False], [True, True, False], [False, True, True]]])
    ranks = torch.tensor([[[0, 0, 0], [1, 0, 0], [1, 1, 0]]])
    found, weights = block(x, seen, ranks, gaps)
    parts = torch.nn.functional.silu(block.enter(block.norm(x)))[0]
    u, v, q, k = parts.split(4, dim=-1)
    for t in range(3):
        visible = [s for s in range(3) if seen[0, t, s]]
        mixed = torch.zeros(4)
        for s in visible:
            logit = q[t] @ k[s] / math.sqrt(4) + block.ranks[0, ranks[0, t, s]] + block.gaps[0, gaps[0, t, s]]
            torch.testing.assert_close(weights[0, 0, t, s], torch.nn.functional.silu(logit) / len(visible))
            mixed = mixed + weights[0, 0, t, s] * v[s]
        torch.testing.assert_close(found[0, t], x[0, t] + block.leave(block.norm_too(mixed) * u[t]))


@pytest.mark.parametrize("t", [0.0, 0.75, 1.0])
def test_the_loss_of_gsasrec(t: float, shop: ShopLog) -> None:
    plan = Plan(negatives=3)
    part = shop.part(Inputs(), shop.shop.events, 2)
    batch = Sampler(part).batch(np.array([0, 4]), np.array([4, 8]))
    model = new_model(VARIANTS[SHIPPED], shop, 0).eval()
    add_offset(model, plan.negatives)
    torch.manual_seed(5)
    found = gbce(model, part, batch, plan, torch.empty(0), t)
    torch.manual_seed(5)
    drawn = torch.randint(0, ITEMS, (2, 3)).tolist()
    table = model.items(part.vectors)
    outputs = model(table, batch.windows).flatten(0, 1)
    alpha = 3 / (ITEMS - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    expected, places = 0.0, batch.places.tolist()
    for place, item, weight in zip(places, batch.items.tolist(), batch.weights.tolist(), strict=True):
        chances = torch.sigmoid(table @ outputs[place] * model.scale + model.offset).tolist()
        expected -= weight * beta * math.log(chances[item])
        for other in drawn[place // 4]:
            if other != item:
                expected -= weight * math.log(1 - chances[other])
    assert float(found.detach()) == pytest.approx(expected / len(set(places)), rel=1e-4)
    assert beta == pytest.approx({0.0: 1.0, 1.0: alpha}.get(t, beta))


def test_the_report_compares_with_the_shipped_model() -> None:
    made = partial(Run, np.array([1, 30]), shoppers=np.array([4, 4, 9, 9]), costs=np.array([2.0, 3, 5, 1000]))
    runs = {SHIPPED: [made(test=np.array([1, 2, 21, 4]))], "hstu": [made(test=np.array([1, 1, 20, 4]))] * 2}
    shipped, other = report(runs).splitlines()[2:]
    assert "| 1 | 0.5000, 0.5000 | 0.7500 | 0.4375 | 0.4375 |  |  | 2 | 3.0 | 1,000 |" in shipped
    assert "| 2 | 0.5000, 0.5000 | 1.0000 | 0.5750 | 0.5750 0.5750 | +0.2500 [+0.0000, +0.5000] | +0.1375 [" in other
    without = report({"hstu": runs["hstu"]}).splitlines()[2]
    assert "| 0.5750 0.5750 |  |  | 2 |" in without
