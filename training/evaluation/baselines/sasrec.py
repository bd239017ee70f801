"""SASRec over item ids: a transformer that predicts the next item of a shopper. Needs torch. No I/O.

Kang & McAuley 2018, doi:10.1109/ICDM.2018.00035, with the softmax over all items in place of one negative for each
target (Klenitskiy & Vasilev 2023, doi:10.1145/3604915.3610644), and with biases for position and time in place of
position embeddings. Unlike the other baselines it is trained once, before its first list, on the acts until then.
Later acts are read but change no weights, and an item that is first acted on afterwards is never recommended.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

import numpy as np
import torch

from inference.queries import BOUGHT
from training.evaluation.baselines.base import Moment, Ranked, best
from training.log import Act
from training.sequence.batches import Shop
from training.sequence.histories import WINDOW, Histories, targets
from training.sequence.model import SequenceModel, Shape, Windows, gap_buckets
from training.sequence.train import Plan, Trainer

SHAPE = Shape(blocks=2, residual=True)


class SasRec:
    """A ranking of items by their cosine to the output of the transformer.

    Args:
        items: number of items.
        epochs: epochs of the training.
        seed: seed of the training.
    """

    name = "SASRec, item ids"

    def __init__(self, items: int, epochs: int = 12, seed: int = 0) -> None:
        self._items, self._plan = items, Plan(epochs=epochs, seed=seed)
        self._acts: defaultdict[int, list[Act]] = defaultdict(list)
        self._newest: defaultdict[int, deque[Act]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self._known = np.zeros(items, dtype=np.bool_)
        self._model: SequenceModel | None = None
        self._table = torch.empty(0)

    def learn(self, act: Act, session: Sequence[int]) -> None:  # noqa: ARG002 - the interface's signature
        """Remember the act. Before the first list it is learned as well."""
        self._newest[act.user].append(act)
        if self._model is None:
            self._acts[act.user].append(act)
            self._known[act.item] = True

    def rank(self, moment: Moment, k: int) -> Ranked:
        """Return the items nearest to the output after the shopper's newest act."""
        model = self._model or self._train()
        newest = self._newest.get(moment.user)
        if not newest:
            return np.empty(0, dtype=np.int64)
        # The model reads the pause until the list. After an act there is none. At an arrival nothing is hidden, and the
        # pause since the last act counts.
        pause_ms = 0 if moment.hidden else moment.at_ms - newest[-1].at_ms
        with torch.no_grad():
            output = model(self._table, _windows(newest, pause_ms))[0, -1]
            # Cosines are between -1 and 1, and only scores above 0 are recommended: + 1 keeps the order and admits all.
            scores = (self._table @ output).numpy().astype(np.float64) + 1.0
        return best(np.where(self._known, scores, 0.0), k, moment.hidden)

    def _train(self) -> SequenceModel:
        """Train on all acts so far."""
        acts = [act for own in self._acts.values() for act in own]
        sizes = [len(own) for own in self._acts.values()]
        given = Histories(
            item=np.array([act.item for act in acts], dtype=np.int64),
            action=np.array([BOUGHT if act.bought else 0 for act in acts], dtype=np.int64),
            at_ms=np.array([act.at_ms for act in acts], dtype=np.int64),
            session=np.array([act.session for act in acts], dtype=np.int64),
            position=np.arange(len(acts)),
            starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            items=self._items,
        )
        self._acts.clear()
        torch.manual_seed(self._plan.seed)
        model = SequenceModel(SHAPE, 1, self._items)
        # No content: each item is its residual alone.
        nothing = torch.zeros(self._items, 1)
        if len(acts):
            for _ in Trainer(model, [Shop(given, targets(given, 1), nothing)], self._plan).epochs():
                pass
        self._model = model.eval()
        with torch.no_grad():
            self._table = model.items(nothing)
        return model


def _windows(acts: Sequence[Act], pause_ms: int) -> Windows:
    pauses_ms = np.zeros(len(acts), dtype=np.int64)
    pauses_ms[-1] = pause_ms
    return Windows(
        torch.tensor([[act.item for act in acts]]),
        torch.tensor([[BOUGHT if act.bought else 0 for act in acts]]),
        torch.tensor([[act.at_ms for act in acts]]),
        gap_buckets(torch.from_numpy(pauses_ms))[None],
    )
