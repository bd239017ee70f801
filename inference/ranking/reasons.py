"""Finds the reason of each listed item: the facts behind the group of features that carried it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import Tuple, float32, int8, int16, int32, int64, void

from inference.kernels.compiler import kernel
from inference.kernels.keytable import KEY_TABLE, KeyTable, find
from inference.kernels.signatures import COLUMNS, QUERIES
from inference.plain_text import has_words, readable
from inference.queries import ACTIONS, RECENT, Queries, QueryBatch
from inference.ranking.occlusion import CLICKED, HABIT, NEW, NOTHING, SEARCH, TASTE, TOGETHER, TREND, Carried, Groups
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import Columns
from inference.types import NO_CLAIM, Because, Item, Keys, Vector

SIMILAR = 0.6
"""Least cosine of an item to a remembered one that it is said to be similar to, unless they share a category."""
TITLES = 2**14
"""Titles and labels whose readable form is cached."""

Rows = npt.NDArray[np.int32]
Partners = Callable[[Queries, npt.NDArray[np.int64], Keys], Keys]
"""Function that returns, for each listed item, the query's item it co-occurs with most: `ItemTransitions.partners`."""

_UNKNOWN = -1
_ACTION = (*ACTIONS, None)
"""The actions by their places in `Evidence`; the last stands for _UNKNOWN."""
_shown = lru_cache(maxsize=TITLES)(readable)


def no_partners(_queries: Queries, _starts: npt.NDArray[np.int64], keys: Keys) -> Keys:
    """Return no co-occurring item for any key."""
    return np.zeros_like(keys)


class Shown(NamedTuple):
    """The listed items, L in all; list i has `starts[i]:starts[i + 1]`.

    Attributes:
        starts: int64 (n + 1,).
        rows: rows of the catalogue, int32 (L,).
        items: the items in these rows.
        carried: the groups that carried their scores, and their shares. The groups are changed.
    """

    starts: npt.NDArray[np.int64]
    rows: Rows
    items: Sequence[Item]
    carried: Carried


class Evidence(NamedTuple):
    """The facts behind the reasons, (L,) each.

    Attributes:
        actions: the shopper's action on the item (HABIT), on the item that it co-occurs with (TOGETHER), or on the
            nearest remembered item (TASTE), as a place in ACTIONS; -1 if unknown.
        nearest: the row of that other item; -1 if there is none.
        intervals: the days after which the shopper buys the item again (HABIT); 0 if unknown.
    """

    actions: npt.NDArray[np.int8]
    nearest: Rows
    intervals: Vector


def reasons(shown: Shown, batch: QueryBatch, catalogue: Catalogue, partners: Partners) -> list[Because]:
    """Return the reason of each item of the lists, (L,)."""
    starts = shown.starts.tolist()
    texts = [readable(text) if text and has_words(text) else None for text in batch.texts]
    for query, text in enumerate(texts):
        if text is None and batch.records[query]["searching"]:  # a search without a text to quote
            own = shown.carried.groups[starts[query] : starts[query + 1]]
            own[(own == SEARCH) | (own == CLICKED)] = TASTE
    evidence = _gather(shown, batch, catalogue, partners)
    return _because(shown, texts, evidence, catalogue)


def _gather(shown: Shown, batch: QueryBatch, catalogue: Catalogue, partners: Partners) -> Evidence:
    number, groups = len(shown.rows), shown.carried.groups
    evidence = Evidence(
        np.full(number, _UNKNOWN, dtype=np.int8),
        np.full(number, -1, dtype=np.int32),
        np.zeros(number, dtype=np.float32),
    )
    (places,) = (groups == TOGETHER).nonzero()
    if len(places):
        keys = partners(batch.records, places.searchsorted(shown.starts), catalogue.columns.keys[shown.rows[places]])
        evidence.nearest[places] = catalogue.rows_of(keys)[0]
    lists = (shown.starts, shown.rows, groups)
    scratch = _Scratch(np.empty(RECENT, dtype=np.int32), np.empty((RECENT + 1, catalogue.dim), dtype=np.int16))
    _find_evidence(batch.records, catalogue.table, lists, catalogue.columns, scratch, evidence)
    return evidence


def _because(
    shown: Shown,
    texts: Sequence[str | None],
    evidence: Evidence,
    catalogue: Catalogue,
) -> list[Because]:
    starts, groups, items = shown.starts.tolist(), shown.carried.groups.tolist(), shown.items
    # Rounded as float64, so that a share has three digits in JSON.
    shares = shown.carried.shares.astype(np.float64).round(3).tolist()
    rows, actions = shown.rows.tolist(), [_ACTION[action] for action in evidence.actions.tolist()]
    nearest, intervals = evidence.nearest.tolist(), evidence.intervals.astype(np.float64).round(1).tolist()
    found: list[Because] = []
    for query, text in enumerate(texts):
        for place in range(starts[query], starts[query + 1]):
            group, share, action, because = groups[place], shares[place], actions[place], NO_CLAIM
            if group in (TREND, NEW):
                label = items[place].label
                shown_label = None if label is None else _shown(label)
                kind = "new" if group == NEW else "popular" if label is None else "trending"
                because = Because(kind, None, shown_label, None, None, None, share)
            elif group in (SEARCH, CLICKED):
                if text:
                    because = Because("search" if group == SEARCH else "clicked", None, None, text, None, None, share)
            elif group == HABIT and intervals[place] > 0:
                because = Because("habit", None, None, None, "purchase", intervals[place], share)
            elif group == HABIT or (group == TASTE and nearest[place] == rows[place]):
                because = Because("before", None, None, None, action or "purchase", None, share)
            elif group != NOTHING and nearest[place] >= 0:
                other = catalogue.item(nearest[place])
                title = _shown(other.title)
                if title:
                    kind = "together" if group == TOGETHER else "similar"
                    because = Because(kind, other.item_id, title, None, action, None, share)
            found.append(because)
    return found


class _Scratch(NamedTuple):
    """Scratch memory of the kernel for one query.

    Attributes:
        past: the rows of the shopper's remembered items, int32 (RECENT,).
        vectors: the vectors of these items and of the listed item, int16 (RECENT + 1, dim).
    """

    past: Rows
    vectors: npt.NDArray[np.int16]


_SCRATCH = NamedTupleType((int32[::1], int16[:, ::1]), _Scratch)
_LISTS = Tuple((int64[::1], int32[::1], int8[::1]))
_EVIDENCE = NamedTupleType((int8[::1], int32[::1], float32[::1]), Evidence)


@kernel(void(QUERIES, KEY_TABLE, _LISTS, COLUMNS, _SCRATCH, _EVIDENCE), allocates=False)
def _find_evidence(
    records: Queries,
    table: KeyTable,
    lists: tuple[npt.NDArray[np.int64], Rows, Groups],
    columns: Columns,
    scratch: _Scratch,
    evidence: Evidence,
) -> None:
    """Fill in the evidence for the items of `lists`: their starts (n + 1,), rows (L,) and groups (L,).

    `table` finds the rows of the catalogue. `evidence.nearest` already has the items that those of the group TOGETHER
    co-occur with; without one, the group becomes TASTE.
    """
    starts, rows, groups = lists
    past, vectors = scratch.past, scratch.vectors
    dim = columns.vectors.shape[1]
    vector = vectors[RECENT]
    for query in range(len(records)):
        record = records[query]
        number, taken = np.int64(record["recent_length"]), False
        if starts[query] < starts[query + 1]:
            for each in range(number):
                past[each] = find(table, record["recent"][each])
        for place in range(starts[query], starts[query + 1]):
            row = rows[place]
            if groups[place] == TOGETHER:
                if evidence.nearest[place] < 0:
                    groups[place] = TASTE
                else:
                    # The newest action on an item comes first.
                    for each in range(number):
                        if past[each] == evidence.nearest[place]:
                            evidence.actions[place] = record["recent_actions"][each]
                            break
                    continue
            group = groups[place]
            if group == HABIT:
                for each in range(number):
                    if record["recent"][each] == columns.keys[row]:
                        evidence.actions[place] = record["recent_actions"][each]
                        break
                for each in range(np.int64(record["habits_length"])):
                    # Two purchases have an interval, but are no rhythm yet.
                    if record["habits"][each] == columns.keys[row] and record["habit_regular"][each]:
                        evidence.intervals[place] = record["habit_interval_days"][each]
                continue
            # A query that is no search has no text to quote. Its items get the evidence of TASTE.
            if group in (SEARCH, CLICKED) and record["searching"] == 0:
                group = groups[place] = TASTE
            if group != TASTE:
                continue
            # The vectors are copied once for each list, and only if an item needs them. Products of 16-bit numbers
            # compile to multiply-and-add in pairs.
            if not taken:
                for each in range(number):
                    other = max(past[each], 0)
                    for d in range(dim):
                        vectors[each, d] = columns.vectors[other, d]
                taken = True
            for d in range(dim):
                vector[d] = columns.vectors[row, d]
            greatest, category = np.float32(-np.inf), columns.categories[row]
            for each in range(number):
                other = past[each]
                if other >= 0:
                    total = np.int32(0)
                    for d in range(dim):
                        total = np.int32(total + np.int32(vectors[each, d]) * np.int32(vector[d]))
                    near = np.float32(total) * columns.inverse_norms[other] * columns.inverse_norms[row]
                    # Key 0 stands for no category.
                    is_similar = near >= SIMILAR or (category != 0 and category == columns.categories[other])
                    if is_similar and near > greatest:
                        greatest = near
                        evidence.actions[place], evidence.nearest[place] = record["recent_actions"][each], other
