"""Other inputs of the sequence model: more actions, repeated ones, borders of sessions, and searches.

A search is an action on its text: texts have the numbers after those of the items, and their vectors are projected as
those of items are, without a residual. Targets and candidates are items alone, and lists are made after actions on
items alone, so all inputs are measured with the same lists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from inference.bundle import Bundle
from inference.encoding.text import normalise_query
from inference.kernels.gaps import GAPS
from inference.queries import ACTIONS, RECENT
from inference.types import Vector
from training.log import Log
from training.sequence.batches import Shop
from training.sequence.fit import ShopEvents
from training.sequence.histories import WINDOW, Histories, Targets, targets
from training.sequence.model import SequenceModel, Shape, Windows, gaps_between, rank_biases, visible

SEARCHED = len(ACTIONS)
"""The action of a search."""
KINDS = SEARCHED + 1
"""Kinds of actions. An action that begins a session has its kind plus KINDS, if the model reads borders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The actions that a model reads after an action.

    Attributes:
        newest: number of actions.
        repeats: whether they are all of the newest actions. If not, they are the newest ones on distinct items.
        sessions: whether it knows which actions begin a session, and which are of the session of the newest one.
        searches: whether it reads searches.
        window: actions of a training sequence.
    """

    newest: int = RECENT
    repeats: bool = False
    sessions: bool = False
    searches: bool = False
    window: int = WINDOW


@dataclass(frozen=True, slots=True, eq=False)
class ShopLog:
    """The actions of one shop, the same with the searches between them, and the texts' vectors, float32 (n, dim)."""

    shop: ShopEvents
    searched: Histories
    texts: torch.Tensor

    @classmethod
    def of(cls, log: Log, vectors: Vector, bundle: Bundle) -> ShopLog:
        """Return the actions and the searches of a log. `vectors` are those of the items."""
        shop = ShopEvents.of(log, vectors)
        texts = sorted({normalise_query(text) for text in log.queries.values()})
        encoded = bundle.encode(texts) if texts else np.zeros((0, vectors.shape[1]), dtype=np.float32)
        return cls(shop, with_searches(shop.given, log, texts), torch.from_numpy(encoded))

    def part(self, inputs: Inputs, end: int, horizon: int) -> Shop:
        """Return the actions that a model reads before the interaction `end` of the log, with their targets."""
        given = (self.searched if inputs.searches else self.shop.given).before(end)
        own = item_targets(given, horizon)
        return Shop(with_borders(given) if inputs.sessions else given, own, self.shop.vectors, inputs.window)


def with_searches(given: Histories, log: Log, texts: list[str]) -> Histories:
    """Return the actions of a log with its searches. Text i of the sorted `texts` has the number `given.items` + i."""
    numbers = {text: given.items + number for number, text in enumerate(texts)}
    found = np.array(sorted(log.queries), dtype=np.int64)
    searched = np.array([numbers[normalise_query(log.queries[at])] for at in found.tolist()], dtype=np.int64)
    shoppers = len(given.starts) - 1
    shopper = np.concatenate([np.repeat(np.arange(shoppers), np.diff(given.starts)), log.user[found]])
    position = np.concatenate([given.position, found])
    order = np.lexsort((position, shopper))
    return Histories(
        item=np.concatenate([given.item, searched])[order],
        action=np.concatenate([given.action, np.full(len(found), SEARCHED)])[order],
        at_ms=np.concatenate([given.at_ms, log.at_ms[found]])[order],
        session=np.concatenate([given.session, log.session[found]])[order],
        position=position[order],
        starts=np.concatenate([[0], np.cumsum(np.bincount(shopper, minlength=shoppers))]),
        items=given.items,
    )


def with_borders(given: Histories) -> Histories:
    """Return the actions, of which those that begin a session are marked."""
    begins = np.ones(len(given), dtype=np.int64)
    # A session is of one shopper, so its number changes at the border to the next shopper as well.
    begins[1:] = given.session[1:] != given.session[:-1]
    return replace(given, action=given.action + KINDS * begins)


def item_targets(given: Histories, horizon: int) -> Targets:
    """Return the targets of the actions on items, as if there were no searches."""
    places = np.flatnonzero(given.item < given.items)
    own = targets(given.where(given.item < given.items), horizon)
    pause_ms = np.zeros(len(given), dtype=np.int64)
    pause_ms[places] = own.pause_ms
    return Targets(places[own.action], own.item, own.weight, pause_ms)


class InputsModel(SequenceModel):
    """A model with other inputs. `texts` are the vectors of the searches, (n, dim)."""

    def __init__(self, shape: Shape, dim: int, items: int, inputs: Inputs, texts: torch.Tensor) -> None:
        super().__init__(shape, dim, items)
        self.inputs = inputs
        self.register_buffer("texts", texts, persistent=False)
        self.actions = nn.Embedding(2 * KINDS, shape.width)
        nn.init.zeros_(self.actions.weight)

    def widen(self) -> None:
        """Give each block biases for all ranks, and others for gaps to an action of an earlier session."""
        for block in self.blocks:
            block.ranks = nn.Parameter(rank_biases(self.shape.heads, self.inputs.newest))
            block.gaps = nn.Parameter(torch.zeros(self.shape.heads, 2 * GAPS))

    def forward(self, table: torch.Tensor, windows: Windows) -> torch.Tensor:
        """Return the output after each action, as the shipped model does."""
        return super().forward(torch.cat([table, normalize(self.project(self.texts), dim=-1)]), windows)

    def relations(self, windows: Windows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return whether each action sees each other one, the other's rank, and the place of the bias of the gap."""
        items = windows.items
        if self.inputs.repeats:
            # A number of its own for each action, so that none repeats another one.
            items = torch.where(items < 0, items, torch.arange(items.shape[1]))
        session = (windows.actions >= KINDS).cumsum(1)
        is_earlier = session[:, :, None] != session[:, None, :]
        return *visible(items, self.inputs.newest), gaps_between(windows.at_ms) + GAPS * is_earlier
