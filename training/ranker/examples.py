"""The examples for fitting and testing a ranker: labelled lists of candidates, in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from inference.errors import BundleError
from inference.manifest import FittedPeriod
from training.ranker.provenance import union

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Examples:
    """Candidates, n in all, of lists in order of time, as `intentstream examples` writes them.

    Attributes:
        features: float32 (n, F).
        names: the names of the features.
        labels: the relevance of each candidate in [0, 1], above 0 if the shopper acted on it, (n,).
        weights: the number of candidates that each example represents, (n,).
        groups: the list of each example, 0 to lists - 1, rising, in retrieval order within a list, (n,).
        relevant: the number of relevant items of each list, 0 if no action followed, (lists,).
        graded: whether people graded the list's candidates instead of a shopper's actions, (lists,).
        shoppers: the number of each list's shopper, (lists,); empty if unknown, as in older files.
        fitted_to: the data that the examples were gathered from; empty if unknown.

    Raises:
        BundleError: the shapes do not fit, a number is not finite, or a label is not from 0 to 1.
    """

    features: npt.NDArray[np.floating]
    names: tuple[str, ...]
    labels: npt.NDArray[np.floating]
    weights: npt.NDArray[np.floating]
    groups: Integers
    relevant: Integers
    graded: npt.NDArray[np.bool_]
    shoppers: Integers = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    fitted_to: tuple[FittedPeriod, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.features.shape != (n, len(self.names)) or {n} != {len(self.weights), len(self.groups)}:
            raise BundleError(
                f"examples: required features ({n}, {len(self.names)}), weights ({n},) and groups ({n},) for their "
                f"labels and names, got {self.features.shape}, {self.weights.shape} and {self.groups.shape}"
            )
        if not (np.isfinite(self.features).all() and np.isfinite(self.weights).all()):
            raise BundleError("examples: required finite features and weights, got some that are not")
        lowest, highest = (float(self.labels.min()), float(self.labels.max())) if n else (0.0, 0.0)
        if not 0 <= lowest <= highest <= 1:
            raise BundleError(f"examples: required labels from 0 to 1, got {lowest} to {highest}")
        if (np.diff(self.groups) < 0).any() or (n and not 0 <= self.groups[0] <= self.groups[-1] < len(self.relevant)):
            raise BundleError(f"examples: required groups that rise from 0 to below {len(self.relevant)}, got others")

    def write(self, path: Path) -> None:
        """Write a `.npz` file with an array for each attribute, for `read_examples`."""
        arrays: dict[str, Any] = {each.name: np.asarray(getattr(self, each.name)) for each in fields(self)}
        arrays["fitted_to"] = np.frombuffer(msgspec.json.encode(self.fitted_to), dtype=np.uint8)
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @property
    def truth(self) -> tuple[npt.NDArray[np.floating], Integers, Integers]:
        """The arguments of `training.ranker.quality.quality` beside the scores."""
        return self.labels, self.groups, self.relevant

    @property
    def clusters(self) -> Integers:
        """The shopper of each list, (lists,). Without known shoppers, each list is that of another one."""
        return self.shoppers if len(self.shoppers) else np.arange(len(self.relevant))

    def positives(self) -> Integers:
        """Count the candidates of each list that were acted on, (lists,)."""
        return np.bincount(self.groups, weights=self.labels > 0, minlength=len(self.relevant)).astype(np.int64)

    def column(self, name: str) -> npt.NDArray[np.floating]:
        """Return one feature, (n,)."""
        return np.asarray(self.features[:, self.names.index(name)])

    def lists(self, chosen: npt.NDArray[np.bool_]) -> Examples:
        """Return the lists for which `chosen` (lists,) is true, with new numbers."""
        rows = chosen[self.groups]
        return Examples(
            self.features[rows],
            self.names,
            self.labels[rows],
            self.weights[rows],
            # The chosen lists are numbered anew, from 0 on without gaps.
            (np.cumsum(chosen) - 1)[self.groups[rows]],
            self.relevant[chosen],
            self.graded[chosen],
            self.clusters[chosen],
            self.fitted_to,
        )

    def split(self, start: float, end: float) -> Examples:
        """Return the lists between two points in time, given as shares of all lists."""
        # Lists are in order of time, so a share of the lists is a period, and a later one is never learned from.
        place = np.arange(len(self.relevant)) / max(len(self.relevant), 1)
        return self.lists((place >= start) & (place < end))

    def kinds(self) -> dict[str, Examples]:
        """Return the lists for browsing, searching and arriving shoppers, for kinds with an action on a candidate."""
        searching, in_session = self.holds("searching"), self.holds("session_length")
        chosen = {"browsing": ~searching & in_session, "searching": searching, "arriving": ~searching & ~in_session}
        found = self.positives() > 0
        return {name: self.lists(those) for name, those in chosen.items() if (those & found).any()}

    def holds(self, name: str) -> npt.NDArray[np.bool_]:
        """Return for each list whether a feature is above 0 for any candidate, (lists,)."""
        found = np.zeros(len(self.relevant), dtype=np.bool_)
        found[self.groups[self.column(name) > 0]] = True
        return found


def distinct(parts: Sequence[Examples]) -> list[Examples]:
    """Return each of the examples once, although some are listed several times."""
    return list({id(each): each for each in parts}.values())


def join(parts: Sequence[Examples]) -> Examples:
    """Return the lists of several shops as one, numbered consecutively. Raises BundleError if features differ."""
    if len({each.names for each in parts}) != 1:
        raise BundleError("examples: required files with the same features, got different ones: gather them anew")
    starts = np.cumsum([0, *(len(each.relevant) for each in parts[:-1])])
    # Shoppers of different shops are different shoppers, so their numbers continue.
    shoppers = np.cumsum([0, *(each.clusters.max(initial=-1) + 1 for each in parts[:-1])])
    return Examples(
        np.concatenate([each.features for each in parts]),
        parts[0].names,
        np.concatenate([each.labels for each in parts]),
        np.concatenate([each.weights for each in parts]),
        np.concatenate([each.groups + start for each, start in zip(parts, starts, strict=True)]),
        np.concatenate([each.relevant for each in parts]),
        np.concatenate([each.graded for each in parts]),
        np.concatenate([each.clusters + start for each, start in zip(parts, shoppers, strict=True)]),
        union(period for each in parts for period in each.fitted_to),
    )


def read_examples(path: Path) -> Examples:
    """Read a file that `intentstream examples` wrote. Raises BundleError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        arrays["names"] = tuple(map(str, arrays["names"]))
        if "fitted_to" in arrays:
            content = arrays["fitted_to"].tobytes()
            arrays["fitted_to"] = msgspec.json.decode(content, type=tuple[FittedPeriod, ...])
        return Examples(**arrays)
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
        raise BundleError(f"{path}: required examples written by `intentstream examples`, got: {error}") from error
