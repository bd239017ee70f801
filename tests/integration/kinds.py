"""A shop with items of six kinds, and a ranker that puts the least similar ones first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from inference.ranking.features import SIMILARITIES
from inference.types import Item
from training.ranker.network import to_onnx, unfitted

KINDS = ("Green tea", "Rye bread", "Running shoes", "Desk lamp", "Garden hose", "Wool blanket")
ITEMS = [Item(item_id=f"i{n}", title=f"{KINDS[n % 6]} number {n}", category=(KINDS[n % 6],)) for n in range(48)]


def kind_of(item_id: str) -> int:
    """Return the number of an item's kind."""
    return int(item_id[1:]) % len(KINDS)


def bad_ranker() -> onnx.ModelProto:
    """Return a ranker that puts the least similar items first."""
    ranker = unfitted()
    direct = np.where(np.isin(ranker.names, SIMILARITIES), -1.0, 0.0)
    return to_onnx(replace(ranker, network=replace(ranker.network, direct=direct)))
