"""The group of features that carried the score of an item, by occlusion.

The contribution of a group is the fall of the logit when the ranker scores the candidate without the group's features
(occlusion: Zeiler & Fergus 2014, doi:10.1007/978-3-319-10590-1_53). A group gives the reason of an item only if its
sentence is true of the item, and if it contributes enough; decision record 0013 has the measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log, log1p
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import NamedTuple as NamedTupleType
from numba.types import float32, float64, int8, int32, int64, void

from inference.kernels.compiler import helper, kernel
from inference.queries import Queries
from inference.ranking.choice import rounded
from inference.ranking.features import FEATURES
from inference.retrieval.sources import REASONS, SOURCES
from inference.types import Vector

GROUP_NUMBERS = {reason: number for number, reason in enumerate(REASONS)}
SEARCH, CLICKED, TOGETHER, TASTE, HABIT, TREND, NEW = GROUP_NUMBERS.values()
NOTHING = -1
"""The group of an item whose score no group carried."""
_OTHER_FEATURES: Mapping[int, tuple[str, ...]] = {
    TASTE: ("last_item", "last_items", "category", "brand", "same_category", "same_brand"),
    HABIT: ("bought", "seen_before"),
    TREND: ("popularity", "lasting"),
    NEW: ("new",),
}
"""Features that no source feeds, by the group to which they belong."""
GROUPS: Mapping[int, tuple[str, ...]] = {
    group: (
        *(name for source in SOURCES if source.reason == reason for name in source.features),
        *_OTHER_FEATURES.get(group, ()),
    )
    for reason, group in GROUP_NUMBERS.items()
}
"""The features behind each kind of reason: those of the sources that give it, and others. Ties go to the first."""

Places = npt.NDArray[np.int32]
Groups = npt.NDArray[np.int8]

_GROUP_OF = np.array(
    [next((group for group, names in GROUPS.items() if name in names), NOTHING) for name in FEATURES], dtype=np.int8
)
_LEAST, _GREATEST = 1e-9, 1 - 1e-9
LEAST_SHARE = 0.25
"""Least share of a group in the contributions of all groups."""
MATCHING_COSINE, MATCHING_WORDS = 0.55, 0.5
"""An item matches a search from this cosine on, or if it has words with this share of the weight of the search's."""
OFTEN_CLICKED = 0.05
"""Least share of an item in the actions after a search."""
POPULAR = 0.01
"""Least popularity of an item that trends, relative to the most popular item."""
_NUMBER = len(GROUPS)
_QUERY, _WORDS, _CLICKED, _POPULARITY, _LASTING = (
    FEATURES.index(name) for name in ("query", "words", "clicked", "popularity", "lasting")
)


class Occluded(NamedTuple):
    """Candidates with one group of features set to 0, m in all. Groups that are 0 already are left out.

    Attributes:
        features: float32 (m, F).
        places: the candidate's place among those shown, int32 (m,), rising.
        groups: the group that is missing, int8 (m,), rising within a candidate.
    """

    features: Vector
    places: Places
    groups: Groups


def occlude(features: Vector, shown: Places, out: Vector | None = None) -> Occluded:
    """Return the candidates at `shown` (L,) of `features` (C, F), without each of their groups in turn.

    They are written to `out`, float32 (len(GROUPS) · L, F), if it is given.
    """
    most = len(GROUPS) * len(shown)
    if out is None:
        out = np.empty((most, features.shape[1]), dtype=np.float32)
    places, groups = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int8)
    count = _occlude(features, shown, out, places, groups)
    return Occluded(out[:count], places[:count], groups[:count])


class Carried(NamedTuple):
    """The group that gives the reason of each candidate, int8 (L,), NOTHING if none does; and its share, float32 (L,).

    The share is the group's part of the contributions of all groups.
    """

    groups: Groups
    shares: Vector


def carried_by(scores: npt.NDArray[np.float64], without: Vector, occluded: Occluded, features: Vector) -> Carried:
    """Return the group that carried each candidate.

    `scores`, float64 (L,), are the rounded scores of whole candidates, and `features` their features, (L, F);
    `without`, float32 (m,), are the scores of those in `occluded`.
    """
    carried = Carried(np.empty(len(scores), dtype=np.int8), np.empty(len(scores), dtype=np.float32))
    _carried(scores, without, occluded.places, occluded.groups, features, carried)
    return carried


def matches_search(records: Queries, starts: npt.NDArray[np.int64], features: Vector) -> list[bool | None]:
    """Return whether each listed item matches its list's search, None in other lists; nothing without any search.

    List i has the items `starts[i]:starts[i + 1]`, with `features` (L, F), and answers the query `records[i]`.
    """
    searching = records["searching"] > 0
    if not searching.any():
        return []
    words, clicked = features[:, _WORDS], features[:, _CLICKED]
    near = features[:, _QUERY] >= MATCHING_COSINE
    found = near | (words * words >= MATCHING_WORDS) | (clicked * clicked >= OFTEN_CLICKED)
    of_search = np.repeat(searching, np.diff(starts)).tolist()
    return [each if answers else None for each, answers in zip(found.tolist(), of_search, strict=True)]


@kernel(int64(float32[:, ::1], int32[::1], float32[:, ::1], int32[::1], int8[::1]), allocates=False)
def _occlude(features: Vector, shown: Places, out: Vector, places: Places, groups: Groups) -> int:
    """Write the candidates without their groups to `out`, their places and the groups to the others; return m."""
    count = 0
    for place in range(len(shown)):
        own = features[shown[place]]
        present = np.int64(0)  # a bit for each group
        for column in range(len(own)):
            group = _GROUP_OF[column]
            if group >= 0 and own[column] != 0:
                present |= np.int64(1) << group
        for group in range(_NUMBER):
            # A group that is 0 already would give the same score.
            if present >> group & 1:
                for column in range(len(own)):
                    out[count, column] = np.float32(0) if _GROUP_OF[column] == group else own[column]
                places[count], groups[count] = place, group
                count += 1
    return count


_CARRIED = NamedTupleType((int8[::1], float32[::1]), Carried)


@kernel(void(float64[::1], float32[::1], int32[::1], int8[::1], float32[:, ::1], _CARRIED), allocates=False)
def _carried(
    scores: npt.NDArray[np.float64], without: Vector, places: Places, groups: Groups, features: Vector, carried: Carried
) -> None:
    """Write the group that carried each candidate, and its share, to `carried`."""
    each = 0
    for place in range(len(scores)):
        whole, total, greatest, best = _logit(scores[place]), 0.0, 0.0, NOTHING
        # `places` rises, so one pointer passes the occluded candidates of all items.
        while each < len(places) and places[each] == place:
            left = rounded(without[each])
            # The logit falls only if the score does.
            if left < scores[place]:
                fall = whole - _logit(left)
                # A group whose sentence would be false counts in the total, so its part is not credited to another
                # group.
                total += fall
                if fall > greatest and _is_true(groups[each], features[place]):
                    greatest, best = fall, groups[each]
            each += 1
        if greatest < LEAST_SHARE * total:
            best = NOTHING
        carried.groups[place] = best
        carried.shares[place] = 0 if best == NOTHING else greatest / total


@helper
def _is_true(group: int, own: Vector) -> bool:
    """Return whether a candidate's features support the sentence of a group."""
    if group == SEARCH:
        # `words` is the square root of the share.
        return bool(own[_QUERY] >= MATCHING_COSINE or own[_WORDS] * own[_WORDS] >= MATCHING_WORDS)
    if group == CLICKED:
        return bool(own[_CLICKED] * own[_CLICKED] >= OFTEN_CLICKED)
    if group == TREND:
        return bool(max(own[_POPULARITY], own[_LASTING]) ** 2 >= POPULAR)
    return True


@helper
def _logit(probability: float) -> float:
    bounded = min(max(probability, _LEAST), _GREATEST)
    return log(bounded) - log1p(-bounded)
