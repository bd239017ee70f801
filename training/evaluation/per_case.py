"""The system's metrics of each case, compact, so that two evaluations can be compared by pairs. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from training.evaluation.baseline_pass import Ranking
from training.evaluation.cases import Cases
from training.evaluation.judgements import Judgements
from training.evaluation.metrics import Targets, at_k, gains
from training.evaluation.plan import JUDGED, Primary
from training.evaluation.report import PerCase
from training.log import Log

INTEGER, FLOAT = "<i4", "<f4"


def per_case(
    ranking: Ranking, targets: Targets, shoppers: npt.NDArray[np.integer], primary: Primary, cases: str
) -> PerCase:
    """Return the primary metrics of each case. `shoppers` and the hash `cases` belong to the same cases."""
    found = gains(ranking.lists, targets)
    return PerCase(
        cases=cases,
        shoppers=packed(shoppers, INTEGER),
        values={f"{metric}@{k}": packed(at_k(found, targets, k)[metric], FLOAT) for metric, k in primary},
    )


def hash_of_cases(log: Log, cases: Cases, protocol: str) -> str:
    """Return a hash of the moments and the targets of a log's cases."""
    ids = (log.interactions[at].event_id for at in cases.at.tolist())
    return _hash(protocol, ids, [log.item_ids[item] for item in cases.targets.items.tolist()], cases.targets)


def hash_of_judgements(judgements: Judgements, item_ids: Sequence[str], targets: Targets) -> str:
    """Return a hash of graded searches and their relevant items."""
    return _hash(JUDGED, judgements.queries, [item_ids[item] for item in targets.items.tolist()], targets)


def packed(values: npt.NDArray[np.generic], dtype: str) -> bytes:
    """Return an array as compressed bytes."""
    return zlib.compress(values.astype(dtype).tobytes(), 9)


def unpacked(content: bytes, dtype: str) -> npt.NDArray[np.generic]:
    """Return an array that `packed` wrote. Raises ValueError if it is damaged."""
    try:
        return np.frombuffer(zlib.decompress(content), dtype=dtype)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def _hash(protocol: str, moments: Iterable[str], items: Sequence[str], targets: Targets) -> str:
    digest = sha256(protocol.encode())
    for each in (*moments, *items):
        # Without a separator, ["ab", "c"] and ["a", "bc"] would have the same hash.
        digest.update(b"\0" + each.encode())
    digest.update(targets.starts.astype("<i8").tobytes() + targets.grades.astype(FLOAT).tobytes())
    return digest.hexdigest()
