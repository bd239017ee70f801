"""Compares blocks, losses and inputs of the sequence model: `python -m benchmarks.sequence.variants --help`.

All variants have the same items, width, targets, dropout, rate, batches, early stopping and seeds. Each is trained on
the events before the validation period. The epoch with the best MRR@20 there is tested on the period after it, without
another training. Ranks are among all items of the shop. Each run is a file in the work folder, so that a second call
continues; `--only-report` prints the table of all runs in the folder. Needs torch.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.sequence.blocks import GatedBlock, RecurrentBlock, add_offset, gbce
from benchmarks.sequence.inputs import Inputs, InputsModel, ShopLog
from inference.queries import RECENT
from streams.factory import load_model
from streams.settings import load_settings
from training.bootstrap import Floats, interval, resampled_means
from training.commands.train_sequence import read_shop
from training.sequence.batches import Sampler, Shop
from training.sequence.histories import WINDOW
from training.sequence.measure import K, ranks
from training.sequence.model import Block, SequenceModel, Shape
from training.sequence.train import Loss, Plan, Trainer, loss_of

NEGATIVES = 256
SHAPE = Shape(residual=True, forget=0.2, dropout=0.3)
"""As `train-sequence` has it for one shop."""
SHIPPED = "softmax"
SHIPPED_INPUTS = Inputs()
LONG = 128
"""Actions of a training sequence that has nearly 50 distinct items in most shops."""
ALL_ITEMS = 1_000_000
"""The loss is the softmax over all items up to this number of items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A model and its loss.

    Attributes:
        what: its description in the table.
        block: makes a block.
        blocks: number of blocks.
        loss: the loss.
        exact: number of items up to which the softmax is over all items, 0 for sampled softmax.
        inputs: the actions that it reads.
        products: multiplications of a list after the newest action, without the search for the nearest items.
    """

    what: str
    block: Callable[[Shape], nn.Module] = Block
    blocks: int = 1
    loss: Loss = loss_of
    exact: int = ALL_ITEMS
    inputs: Inputs = SHIPPED_INPUTS
    products: int


def attention_products(earlier: int, newest: int = RECENT) -> int:
    """Return the multiplications of the shipped block for the newest action, after `earlier` blocks for all actions.

    The keys and values of the last block need no product for each action (`inference/kernels/sequence_network.py`).
    """
    width, hidden, heads = SHAPE.width, SHAPE.hidden, SHAPE.heads
    last = 4 * width**2 + 3 * heads * newest * width + 2 * width * hidden
    each = 4 * width**2 + 2 * width * hidden + newest * width
    return newest * width**2 + width**2 + last + earlier * newest * each


def reading(what: str, inputs: Inputs) -> Variant:
    """Return the shipped block and loss with other inputs."""
    return Variant(what=what, inputs=inputs, products=attention_products(0, inputs.newest))


def gated_products(earlier: int) -> int:
    """Return those of HSTU: SiLU follows the products with V and K, so each action needs them."""
    width, heads = SHAPE.width, SHAPE.heads
    last = 2 * RECENT * width**2 + 3 * width**2 + (2 + heads) * RECENT * width
    each = 5 * width**2 + RECENT * width
    return RECENT * width**2 + width**2 + last + earlier * RECENT * each


def recurrent_products(blocks: int) -> int:
    """Return those of LRURec with the states in the profile: only the newest action is computed."""
    width = SHAPE.width
    return 2 * width**2 + blocks * (4 * width**2 + 4 * width + 2 * width * SHAPE.hidden)


VARIANTS = {
    SHIPPED: Variant(what="shipped: attention, softmax over all items", products=attention_products(0)),
    "sampled": Variant(
        what=f"sampled softmax, {NEGATIVES} negatives and the batch's targets", exact=0, products=attention_products(0)
    ),
    "gbce-0.75": Variant(
        what=f"gBCE, t = 0.75, {NEGATIVES} negatives", loss=partial(gbce, t=0.75), products=attention_products(0)
    ),
    "gbce-1": Variant(
        what=f"gBCE, t = 1, {NEGATIVES} negatives", loss=partial(gbce, t=1.0), products=attention_products(0)
    ),
    "bce": Variant(
        what=f"binary cross-entropy (t = 0), {NEGATIVES} negatives",
        loss=partial(gbce, t=0.0), products=attention_products(0),
    ),
    "softmax-2": Variant(what="attention, 2 blocks", blocks=2, products=attention_products(1)),
    "hstu": Variant(what="HSTU gating, 1 block", block=GatedBlock, products=gated_products(0)),
    "hstu-2": Variant(what="HSTU gating, 2 blocks", block=GatedBlock, blocks=2, products=gated_products(1)),
    "lru": Variant(what="LRURec, 1 block", block=RecurrentBlock, products=recurrent_products(1)),
    "lru-2": Variant(what="LRURec, 2 blocks", block=RecurrentBlock, blocks=2, products=recurrent_products(2)),
    "newest-50": reading("50 newest distinct items", Inputs(newest=50, window=LONG)),
    "repeats-50": reading("50 newest actions with repeats", Inputs(newest=50, repeats=True, window=LONG)),
    "sessions": reading("borders of sessions", Inputs(sessions=True)),
    "searches": reading("searches", Inputs(searches=True)),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The result of one training: figures of the best epoch on both periods, and its cost.

    Attributes:
        valid, test: ranks of the targets, int64 (lists,).
        shoppers: shopper of each list of the test, int64 (lists,).
        costs: seconds of CPU time an epoch, best epoch, epochs trained, and number of weights without the items', (4,).
    """

    valid: np.ndarray
    test: np.ndarray
    shoppers: np.ndarray
    costs: np.ndarray


def new_model(variant: Variant, log: ShopLog, seed: int) -> SequenceModel:
    """Return an untrained model."""
    torch.manual_seed(seed)
    shape = Shape(blocks=variant.blocks, residual=True, forget=SHAPE.forget, dropout=SHAPE.dropout)
    dim, items = log.shop.vectors.shape[1], log.shop.given.items
    others = variant.inputs != SHIPPED_INPUTS
    model = InputsModel(shape, dim, items, variant.inputs, log.texts) if others else SequenceModel(shape, dim, items)
    model.blocks = nn.ModuleList(variant.block(shape) for _ in range(variant.blocks))
    if isinstance(model, InputsModel):
        model.widen()
    if variant.loss is not loss_of:
        add_offset(model, NEGATIVES)
    return model


def train(variant: Variant, shop: ShopLog, options: argparse.Namespace, seed: int) -> Run:
    """Train one variant, and test its best epoch."""
    events, inputs = shop.shop.events, variant.inputs
    validated, tested = round(0.8 * events), round(0.9 * events)
    learned = shop.part(inputs, validated, 2)
    validation, test_part = shop.part(inputs, tested, 1), shop.part(inputs, events, 1)
    plan = Plan(
        epochs=options.epochs, rate=options.rate, negatives=NEGATIVES, exact=variant.exact, seed=seed,
        batch=batch_size(learned),
    )  # fmt: skip
    model = new_model(variant, shop, seed)
    trainer = Trainer(model, [learned], plan, loss=variant.loss)
    best, kept, valid, seconds = 0, {}, None, 0.0
    epochs = trainer.epochs()
    while trainer.done - best < options.patience:
        started = time.process_time()
        if next(epochs, None) is None:
            break
        seconds += time.process_time() - started
        found = ranks(model, validation, validated, options.lists)
        if valid is None or found.quality().mrr > valid.quality().mrr:
            best, kept, valid = trainer.done, copy.deepcopy(model.state_dict()), found
        log(f"  epoch {trainer.done}: MRR@{K} {found.quality().mrr:.4f}, {seconds:.0f} s")
    model.load_state_dict(kept)
    test = ranks(model, test_part, tested, options.lists)
    weights = sum(each.numel() for name, each in model.named_parameters() if not name.startswith("residual"))
    costs = np.array([seconds / max(trainer.done, 1), best, trainer.done, weights])
    return Run(np.empty(0) if valid is None else valid.rank, test.rank, test.shopper, costs)


def batch_size(shop: Shop) -> int:
    """Return the sequences of a batch with which an epoch has as many steps as with sequences of WINDOW actions."""
    usual = Sampler(replace(shop, window=WINDOW)).batches(1)
    return math.ceil(Plan().batch * Sampler(shop).batches(1) / max(usual, 1))


def log(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)


def values_of(rank: np.ndarray) -> Floats:
    """Return hit and reciprocal rank of each list, (lists, 2)."""
    found = rank <= K
    return np.stack([found, found / rank], axis=1).astype(np.float64)


def report(runs: dict[str, list[Run]]) -> str:
    """Return a Markdown table. Figures are means over the seeds, differences to the shipped model if it was run."""
    lines = [
        "| variant | seeds | valid HR@20, MRR@20 | test HR@20 | MRR@20 | MRR@20 by seed | difference HR@20 "
        "| difference MRR@20 | CPU s an epoch | best epoch | weights | products a list |",
        "|" + 12 * "---|",
    ]
    for name, own in runs.items():
        valid = np.mean([values_of(run.valid).mean(axis=0) for run in own], axis=0)
        tests = np.stack([values_of(run.test) for run in own])
        costs = np.mean([run.costs for run in own], axis=0)
        hr, mrr = tests.mean(axis=(0, 1))
        row = [
            VARIANTS[name].what, len(own), f"{valid[0]:.4f}, {valid[1]:.4f}", f"{hr:.4f}", f"{mrr:.4f}",
            " ".join(f"{each:.4f}" for each in tests.mean(axis=1)[:, 1]),
            *(["", ""] if name == SHIPPED or SHIPPED not in runs else differences(own, runs[SHIPPED])),
            f"{costs[0]:.0f}", f"{costs[1]:.1f}", f"{costs[3]:,.0f}", f"{VARIANTS[name].products:,}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def differences(own: Sequence[Run], shipped: Sequence[Run]) -> list[str]:
    """Return the paired differences in HR@20 and MRR@20 with 95% intervals over shoppers, over the common seeds."""
    number = min(len(own), len(shipped))
    mean = np.mean([values_of(run.test) for run in own[:number]], axis=0)
    change = mean - np.mean([values_of(run.test) for run in shipped[:number]], axis=0)
    means = resampled_means(change, own[0].shoppers, 0)
    bounds = [interval(means[:, column]) for column in (0, 1)]
    return [
        f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"
        for value, (low, high) in zip(change.mean(axis=0), bounds, strict=True)
    ]


def read_runs(work: Path) -> dict[str, list[Run]]:
    """Return the runs in a work folder, by variant in the order of the seeds."""
    found: dict[str, list[Run]] = {}
    for name in VARIANTS:
        for path in sorted(work.glob(f"{name}_*.npz")):
            with np.load(path) as file:
                found.setdefault(name, []).append(Run(**{key: file[key] for key in file.files}))
    return found


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sequence.variants", description=__doc__)
    parser.add_argument("--catalog", type=Path, required=True, help="items, JSON Lines")
    parser.add_argument("--events", type=Path, required=True, help="interactions, JSON Lines")
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--epochs", type=int, default=15, help="greatest number of epochs (default: %(default)s)")
    parser.add_argument("--patience", type=int, default=3, help="epochs without a better MRR@20 (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=2e-3, help="rate of AdamW (default: %(default)s)")
    parser.add_argument("--lists", type=int, default=4000, help="lists of each period (default: %(default)s)")
    parser.add_argument("--only-report", action="store_true", help="train nothing")
    return parser.parse_args()


def main() -> None:
    """Train what is missing, and print the table."""
    options = arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    missing = [(name, seed, options.work / f"{name}_{seed}.npz") for seed in options.seeds for name in options.variants]
    missing = [each for each in missing if not options.only_report and not each[2].exists()]
    if missing:
        settings = load_settings(env_file=None)
        bundle = load_model(settings)
        shop = ShopLog.of(*read_shop(options.catalog, options.events, settings, bundle), bundle)
        given = shop.shop.given
        log(f"{len(given):,} actions, {len(shop.searched) - len(given):,} searches, {given.items:,} items")
        for name, seed, path in missing:
            log(f"{name}, seed {seed}")
            run = train(VARIANTS[name], shop, options, seed)
            np.savez(path, valid=run.valid, test=run.test, shoppers=run.shoppers, costs=run.costs)
    print(report(read_runs(options.work)))


if __name__ == "__main__":
    main()
