"""The group of features that carried the score of an item, by occlusion.

The contribution of a group is the fall of the logit when the ranker scores the candidate without the group's features
(occlusion: Zeiler & Fergus 2014, doi:10.1007/978-3-319-10590-1_53).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log, log1p
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba.types import float32, float64, int8, int32, int64, void

from inference.kernels.compiler import helper, kernel
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
_NUMBER = len(GROUPS)


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


def carried_by(scores: npt.NDArray[np.float64], without: Vector, occluded: Occluded) -> Groups:
    """Return the group that carried each candidate, int8 (L,), NOTHING if no group did.

    `scores`, float64 (L,), are the rounded scores of whole candidates; `without`, float32 (m,), those in `occluded`.
    """
    groups = np.empty(len(scores), dtype=np.int8)
    falls = np.empty(len(scores), dtype=np.float64)
    _carried(scores, without, occluded.places, occluded.groups, falls, groups)
    return groups


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


@kernel(void(float64[::1], float32[::1], int32[::1], int8[::1], float64[::1], int8[::1]), allocates=False)
def _carried(
    scores: npt.NDArray[np.float64],
    without: Vector,
    places: Places,
    groups: Groups,
    falls: npt.NDArray[np.float64],
    carried: Groups,
) -> None:
    """Write the group that carried each candidate to `carried` (L,), and how much the logit falls to `falls` (L,)."""
    for place in range(len(carried)):
        carried[place], falls[place] = NOTHING, 0
    for each in range(len(without)):
        place, left = places[each], rounded(without[each])
        # The logit falls only if the score does.
        if left < scores[place]:
            fall = _logit(scores[place]) - _logit(left)
            if fall > falls[place]:
                falls[place], carried[place] = fall, groups[each]


@helper
def _logit(probability: float) -> float:
    bounded = min(max(probability, _LEAST), _GREATEST)
    return log(bounded) - log1p(-bounded)
