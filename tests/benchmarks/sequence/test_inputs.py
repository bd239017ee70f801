"""Other inputs of the sequence model: which actions it reads, borders of sessions, and searches between the items."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")

import torch

from benchmarks.sequence.inputs import KINDS, SEARCHED, Inputs, InputsModel, ShopLog, with_borders, with_searches
from benchmarks.sequence.variants import SHIPPED, VARIANTS, batch_size, train
from inference.kernels.gaps import GAPS
from inference.types import Item
from streams.contracts.messages import Interaction, Search, View
from training.log import read_log
from training.sequence.batches import Sampler
from training.sequence.fit import ShopEvents
from training.sequence.histories import WINDOW, Histories, histories
from training.sequence.measure import ranks
from training.sequence.model import SequenceModel, Shape, Windows, gap_buckets

START = datetime(2026, 11, 30, tzinfo=UTC)
GAP_MS = 1_800_000
ITEMS = [Item(item_id=name, title=name.upper()) for name in "abc"]


def shop_log(rows: list[tuple[str, int, str]]) -> ShopLog:
    """Return the log of rows (shopper, minute, item id or text); a text has more than one letter."""
    interactions: list[Interaction] = []
    for number, (user, minute, what) in enumerate(rows):
        event_id, at = str(number), START + timedelta(minutes=minute)
        if len(what) > 1:
            interactions.append(Search(event_id=event_id, user_id=user, occurred_at=at, query=what))
        else:
            interactions.append(View(event_id=event_id, user_id=user, occurred_at=at, item_id=what))
    log = read_log(interactions, ITEMS, GAP_MS)
    texts = sorted({text.lower() for text in log.queries.values()})
    vectors = torch.eye(8)
    given = histories(log)
    shop = ShopEvents(given, vectors[: len(ITEMS)], len(log))
    return ShopLog(shop, with_searches(given, log, texts), vectors[len(ITEMS) : len(ITEMS) + len(texts)])


def windows(items: list[int], actions: list[int]) -> Windows:
    """Return one sequence with an action every second."""
    at_ms = torch.arange(len(items))[None] * 1000
    return Windows(torch.tensor([items]), torch.tensor([actions]), at_ms, torch.zeros_like(at_ms))


def model(inputs: Inputs) -> InputsModel:
    """Return an untrained model of 8 items and 2 texts."""
    torch.manual_seed(0)
    made = InputsModel(Shape(residual=True), 12, 8, inputs, torch.randn(2, 12))
    made.widen()
    made.eval()
    return made


def test_the_shipped_inputs_give_the_shipped_output() -> None:
    own = model(Inputs())
    shipped = SequenceModel(own.shape, 12, 8).eval()
    for each in shipped.parameters():
        torch.nn.init.normal_(each, std=0.3)
    wider = ("actions.weight", "blocks.0.gaps")
    own.load_state_dict(own.state_dict() | {name: v for name, v in shipped.state_dict().items() if name not in wider})
    with torch.no_grad():
        own.actions.weight[: KINDS - 1] = shipped.actions.weight
        own.blocks[0].gaps[:, :GAPS] = shipped.blocks[0].gaps
    vectors, read = torch.randn(8, 12), windows([3, 1, 3, 7], [0, 1, 2, 3])
    torch.testing.assert_close(own(own.items(vectors), read), shipped(shipped.items(vectors), read))


@pytest.mark.parametrize(
    ("inputs", "seen"),
    [
        (Inputs(newest=2), [1, 3]),
        (Inputs(newest=2, repeats=True), [2, 3]),
        (Inputs(newest=50), [0, 1, 3]),
        (Inputs(newest=50, repeats=True), [0, 1, 2, 3]),
    ],
)
def test_the_actions_that_are_read(inputs: Inputs, seen: list[int]) -> None:
    read, rank, _ = model(inputs).relations(windows([4, 5, 6, 6], [0, 0, 0, 0]))
    assert read[0, 3].nonzero()[:, 0].tolist() == seen
    assert rank[0, 3][read[0, 3]].tolist() == list(range(len(seen)))[::-1]


def test_an_action_of_an_earlier_session_has_another_bias() -> None:
    log = shop_log([("ann", 0, "a"), ("ann", 1, "b"), ("ann", 99, "a"), ("bob", 100, "a")])
    given = log.part(Inputs(sessions=True), 4, 2).given
    assert given.action.tolist() == [KINDS, 0, KINDS, KINDS]
    assert with_borders(log.shop.given.before(2)).action.tolist() == [KINDS, 0]
    _, _, gaps = model(Inputs(sessions=True)).relations(windows([0, 1, 0], given.action[:3].tolist()))
    assert gaps[0, 2].tolist() == [GAPS + 1, GAPS + 1, 0]
    assert gaps[0, 1, :2].tolist() == [1, 0]


def test_searches_are_between_the_items() -> None:
    log = shop_log([("ann", 0, "tea"), ("bob", 1, "b"), ("ann", 2, "a"), ("ann", 3, "Cups"), ("ann", 4, "c")])
    given = log.searched
    assert given.item.tolist() == [4, 0, 3, 2, 1], "cups is text 0, tea is text 1"
    assert given.action.tolist() == [SEARCHED, 0, SEARCHED, 0, 0]
    assert given.position.tolist() == [0, 2, 3, 4, 1]
    assert given.starts.tolist() == [0, 4, 5]
    own = log.part(Inputs(searches=True), 5, 2).targets
    assert (own.action.tolist(), own.item.tolist()) == ([1], [2]), "no list after a search, and none for one"


def test_all_inputs_are_measured_with_the_same_lists() -> None:
    rows = [(0, "a"), (1, "tea"), (2, "b"), (3, "cups"), (200, "c"), (201, "b")]
    log = shop_log([("ann", minute, what) for minute, what in rows])
    plain, searched = (log.part(Inputs(searches=searches), 6, 1) for searches in (False, True))
    assert searched.targets.item.tolist() == plain.targets.item.tolist() == [1, 2, 1]
    at = [part.given.position[part.targets.action].tolist() for part in (plain, searched)]
    assert at == [[0, 2, 4]] * 2
    pauses = [part.targets.pause_ms[part.targets.action].tolist() for part in (plain, searched)]
    assert pauses == [[0, 198 * 60_000, 0]] * 2
    torch.manual_seed(0)
    own = InputsModel(Shape(residual=True), 8, 3, Inputs(searches=True), log.texts)
    own.widen()
    assert len(ranks(own, searched, 0, 9).rank) == 3


def test_a_search_can_decide_the_next_item() -> None:
    rows = []
    for number in range(150):
        wanted, text = [("b", "tea"), ("c", "cups")][number * 7 % 13 % 2]
        rows += [(str(number), number, text), (str(number), number, "a"), (str(number), number + 1, wanted)]
    log = shop_log([(user, 3 * minute + place % 3, what) for place, (user, minute, what) in enumerate(rows)])
    options = Namespace(epochs=15, rate=1e-2, patience=15, lists=100)
    mrr = {name: (1 / train(VARIANTS[name], log, options, 0).test).mean() for name in (SHIPPED, "searches")}
    assert mrr["searches"] > 0.95
    assert mrr[SHIPPED] < 0.85


def test_longer_sequences_make_as_many_steps() -> None:
    size = 40 * WINDOW
    given = Histories(
        item=np.zeros(size, dtype=np.int64),
        action=np.zeros(size, dtype=np.int64),
        at_ms=np.arange(size),
        session=np.zeros(size, dtype=np.int64),
        position=np.arange(size),
        starts=np.arange(0, size + 1, 4 * WINDOW),
        items=1,
    )
    log = ShopLog(ShopEvents(given, torch.ones(1, 2), size), given, torch.zeros(0, 2))
    usual, longer = (log.part(Inputs(window=window), size, 1) for window in (WINDOW, 4 * WINDOW))
    assert (batch_size(usual), batch_size(longer)) == (64, 13), "50 sequences become 10"
    draw = np.random.default_rng(0)
    (batch,) = Sampler(longer).epoch(batch_size(longer), draw)
    assert batch.windows.items.shape == (10, 4 * WINDOW)
    assert gap_buckets(batch.windows.at_ms).max() > 0
