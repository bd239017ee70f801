"""The items that the sequence model expects next: those nearest to its vector of the shopper's newest actions.

The vectors of items are made from those of the encoder, so a new item can be found at once. A model that was trained on
the shop's own events adds a residual to each item that it knows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference.kernels.nearest import Scratch, find_nearest
from inference.kernels.sequence_layers import SequenceItems, SequenceWeights
from inference.kernels.sequence_network import Actions, Outputs, predict, project, to_shares
from inference.queries import SHORT_TERM, Queries, QueryBatch
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import BLOCK, BYTES, HAS_BLOCKS, Changes
from inference.retrieval.shortlists import Hits
from inference.retrieval.sources import SEQUENCE
from inference.retrieval.vectors import Int8Vector
from inference.types import Keys, Vector


@dataclass(frozen=True, slots=True, eq=False)
class SequenceModel:
    """The weights of a sequence model, and the residuals of the items that it was trained on.

    Attributes:
        weights: the weights.
        keys: stable keys of items with a residual, uint64 (n,), ascending.
        residuals: float32 (n, width).
    """

    weights: SequenceWeights
    keys: Keys
    residuals: Vector

    @property
    def width(self) -> int:
        """The dimensions of its vectors."""
        return len(self.weights.enter_bias)

    def residuals_of(self, keys: Keys) -> Vector:
        """Return the residuals of items by stable key, float32 (m, width); 0 for an item without one."""
        found = np.zeros((len(keys), self.width), dtype=np.float32)
        if len(self.keys):
            # `searchsorted` gives the place where a key would be. A key that is not there is recognised by the
            # comparison.
            places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            known = self.keys[places] == keys
            found[known] = self.residuals[places[known]]
        return found


class SequenceSource:
    """The source of one catalogue, whose changes it applies at each call. Not thread-safe."""

    name = SEQUENCE

    def __init__(self, model: SequenceModel) -> None:
        self._model = model
        self._items = _empty(0, model.width)
        self._actions = Actions.make(model.width, len(model.weights.up_bias))
        self._changes: Changes | None = None
        self._applied = 0
        self._scratch: Scratch | None = None
        self._searched: tuple[int, int] | None = None

    def retrieve(self, batch: QueryBatch, catalogue: Catalogue, hits: Hits, place: int) -> None:
        """Search for the queries that have recent items."""
        vectors, inverse_norms = self.vectors(batch.records, catalogue)
        if self._scratch is None or self._searched != (place, hits.limit):
            self._searched = place, hits.limit
            self._scratch = Scratch.of(self._model.width, [(SHORT_TERM, place)], hits.limit)
        items = self._items
        # The search of nearest items runs on the model's own vectors: the same rows, availability and keys, other
        # vectors.
        columns = catalogue.columns._replace(
            vectors=items.vectors, blocks=items.blocks, inverse_norms=items.inverse_norms
        )
        find_nearest(columns, catalogue.used, vectors[:, None], inverse_norms[:, None], self._scratch, hits)
        to_shares(hits, place, float(self._model.weights.scale[0]))

    def vectors(self, records: Queries, catalogue: Catalogue) -> tuple[Int8Vector, Vector]:
        """Return the shoppers' vectors, int8 (n, width), and 1 / ‖vector‖, (n,); 0 for a shopper without one."""
        self._apply_changes(catalogue)
        outputs = Outputs(
            np.zeros((len(records), self._model.width), dtype=np.int8), np.zeros(len(records), dtype=np.float32)
        )
        predict(records, catalogue.table, self._items, self._model.weights, self._actions, outputs)
        return outputs.vectors, outputs.inverse_norms

    def _apply_changes(self, catalogue: Catalogue) -> None:
        """Make the vectors of the items that are new or changed since the last call."""
        changes = catalogue.changes
        # Another catalogue: none of the vectors belongs to its rows.
        if self._changes is not changes:
            self._changes, self._applied = changes, 0
            self._items = _empty(len(changes.at), self._model.width)
        if self._applied == changes.number:
            return
        if len(self._items.inverse_norms) < len(changes.at):
            larger = _empty(len(changes.at), self._model.width)
            larger.vectors[: len(self._items.vectors)] = self._items.vectors
            larger.blocks[: len(self._items.blocks)] = self._items.blocks
            larger.inverse_norms[: len(self._items.inverse_norms)] = self._items.inverse_norms
            self._items = larger
        rows = np.flatnonzero(changes.at > self._applied).astype(np.int32)
        residuals = self._model.residuals_of(catalogue.columns.keys[rows])
        project(catalogue.columns, rows, self._model.weights, residuals, self._items)
        self._applied = changes.number


def make_source(_name: str, model: SequenceModel) -> SequenceSource:
    """Return the source of a model."""
    return SequenceSource(model)


def _empty(capacity: int, width: int) -> SequenceItems:
    return SequenceItems(
        np.zeros((capacity, width), dtype=np.int8),
        np.zeros((capacity // BLOCK if HAS_BLOCKS else 0, -(-width // BYTES), BLOCK, BYTES), dtype=np.uint8),
        np.zeros(capacity, dtype=np.float32),
    )
