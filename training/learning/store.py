"""Gathered lists on disk: a bounded number of `.npz` files, each with the place in Kafka up to which it was gathered.

A file and its place are written by one rename. So a restart neither loses nor repeats a list, without a commit to
Kafka.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import msgspec
import numpy as np
import numpy.typing as npt

from inference.bundle import Bundle
from inference.errors import BundleError
from inference.manifest import FittedPeriod
from inference.ranking.features import FEATURES
from training.learning.gathering import Gathered
from training.learning.outcomes import Exposures, added, no_exposure
from training.ranker.examples import Examples, join

log = logging.getLogger(__name__)

ARRAYS = ("features", "names", "labels", "weights", "groups", "relevant", "graded")
"""Attributes of the examples that are stored."""
PATTERN = "lists-*.npz"
UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, BundleError, msgspec.MsgspecError)
"""Errors of a damaged file."""
Positions = Mapping[str, int]
"""Next offset to gather, by "TOPIC/PARTITION"."""


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """Labelled lists in order of time.

    Attributes:
        examples: n candidates of the lists.
        ranks: see `Gathered`, int16 (n,).
        shoppers: key of each list's shopper, uint64 (lists,).
        times: milliseconds since 1970, int64 (lists,).
    """

    examples: Examples
    ranks: npt.NDArray[np.int16]
    shoppers: npt.NDArray[np.uint64]
    times: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def clustered(self) -> Examples:
        """The examples, with the number of each list's shopper."""
        _, numbers = np.unique(self.shoppers, return_inverse=True)
        return replace(self.examples, shoppers=numbers)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Lists:
        """Return the lists for which `chosen` (lists,) is true."""
        rows = chosen[self.examples.groups]
        return Lists(self.examples.lists(chosen), self.ranks[rows], self.shoppers[chosen], self.times[chosen])

    def between(self, start_ms: int, end_ms: int) -> Lists:
        """Return the lists of a period, its end excluded."""
        return self.where((self.times >= start_ms) & (self.times < end_ms))


def feature_model(bundle: Bundle) -> str:
    """Identify the encoder and the sequence model of a bundle, which the features of lists depend on."""
    manifest = bundle.manifest
    files = [] if manifest.sequence is None else [manifest.sequence.file, manifest.sequence.residuals]
    return " ".join([bundle.vector_space, *(manifest.file(name).sha256 for name in files if name is not None)])


def as_lists(gathered: Sequence[Gathered], fitted_to: tuple[FittedPeriod, ...] = ()) -> Lists:
    """Return gathered lists as arrays. `fitted_to` is the record of the interactions that they are from."""
    examples = [each.examples for each in gathered]
    return Lists(
        Examples(
            features=np.concatenate([each.features for each in examples]),
            names=FEATURES,
            labels=np.concatenate([each.labels for each in examples]),
            weights=np.concatenate([each.weights for each in examples]),
            groups=np.repeat(np.arange(len(examples)), [len(each.labels) for each in examples]),
            relevant=np.array([each.relevant for each in examples], dtype=np.int64),
            graded=np.zeros(len(examples), dtype=np.bool_),
            fitted_to=fitted_to,
        ),
        np.concatenate([each.ranks for each in gathered]),
        np.array([each.shopper for each in gathered], dtype=np.uint64),
        np.array([each.at_ms for each in gathered], dtype=np.int64),
    )


def joined(parts: Sequence[Lists]) -> Lists:
    """Return several parts as one, in order of time."""
    return Lists(
        join([each.examples for each in parts]),
        np.concatenate([each.ranks for each in parts]),
        np.concatenate([each.shoppers for each in parts]),
        np.concatenate([each.times for each in parts]),
    )


class ListStore:
    """The files of a folder. At most about `kept` lists stay; the oldest files go first.

    An unreadable file is skipped with an error in the log, and so is one of other features (of an older version). One
    whose features are of another encoder or sequence model is deleted, so that its interactions are gathered again.

    Args:
        folder: the folder.
        kept: the number of lists.
        model: `feature_model` of the model that makes the features.
    """

    def __init__(self, folder: Path, kept: int, model: str) -> None:
        self.model = model
        self._folder = folder
        self._kept = kept
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob("*.new"):
            unfinished.unlink()
        self.positions: dict[str, int] = {}
        self._parts: dict[Path, tuple[Lists, Exposures]] = {}
        for path in sorted(folder.glob(PATTERN)):
            self._load(path)

    def __len__(self) -> int:
        return sum(len(lists) for lists, _ in self._parts.values())

    def write(self, lists: Lists, exposures: Exposures, positions: Positions) -> None:
        """Write lists with the place up to which they were gathered. Delete the oldest files above the limit."""
        last = max((_number(path) for path in self._folder.glob(PATTERN)), default=0)
        path = self._folder / f"lists-{last + 1:09}.npz"
        self._write(path, lists, exposures, {**self.positions, **positions})
        self.positions.update(positions)
        self._parts[path] = (lists, exposures)
        # The oldest file goes only if the others hold enough lists, and never the last one.
        while len(self._parts) > 1 and len(self) - len(next(iter(self._parts.values()))[0]) >= self._kept:
            oldest = next(iter(self._parts))
            del self._parts[oldest]
            oldest.unlink(missing_ok=True)

    def read(self) -> Lists | None:
        """Return all lists, None if there are none."""
        return joined([lists for lists, _ in self._parts.values()]) if self._parts else None

    def exposures(self) -> Exposures:
        """Return the exposures of all files."""
        return added(exposures for _, exposures in self._parts.values())

    def forget(self, shopper: int, until_ms: int) -> None:
        """Delete the lists of the shopper with this key that are not newer than `until_ms`."""
        for path, (lists, exposures) in list(self._parts.items()):
            others = (lists.shoppers != np.uint64(shopper)) | (lists.times > until_ms)
            if not others.all():
                remaining = lists.where(others)
                # The places stay, so the shopper's interactions are not gathered again. Exposures name no shopper.
                self._write(path, remaining, exposures, self.positions)
                self._parts[path] = (remaining, exposures)

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                arrays: dict[str, Any] = {name: file[name] for name in file.files}
            positions = json.loads(str(arrays.pop("positions")))
            names = map(str, arrays.pop("exposure_names"))
            exposures = dict(zip(names, arrays.pop("exposures"), strict=True))
            model = str(arrays.pop("model"))
            arrays["fitted_to"] = msgspec.json.decode(arrays["fitted_to"].tobytes(), type=tuple[FittedPeriod, ...])
            extra = [arrays.pop(name) for name in ("ranks", "shopper_keys", "times")]
            examples = Examples(**{**arrays, "names": tuple(map(str, arrays["names"]))})
        except UNREADABLE as error:
            log.error("%s cannot be read, its lists are left out: %s", path, error)  # noqa: TRY400
            return
        if model != self.model:
            log.warning("%s has features of another encoder or sequence model, its lists are gathered again", path)
            path.unlink()
            return
        # Places of a file that is left out still count: its interactions are not gathered again.
        for name, offset in positions.items():
            self.positions[name] = max(offset, self.positions.get(name, 0))
        if examples.names != FEATURES or any(each.shape != no_exposure().shape for each in exposures.values()):
            log.warning("%s has the features of another version of the program, its lists are left out", path)
            return
        self._parts[path] = (Lists(examples, *extra), exposures)

    def _write(self, path: Path, lists: Lists, exposures: Exposures, positions: Positions) -> None:
        arrays: dict[str, Any] = {name: np.asarray(getattr(lists.examples, name)) for name in ARRAYS}
        unfinished = path.with_suffix(".new")
        with unfinished.open("wb") as file:
            np.savez_compressed(
                file,
                **arrays,
                fitted_to=np.frombuffer(msgspec.json.encode(lists.examples.fitted_to), dtype=np.uint8),
                ranks=lists.ranks,
                shopper_keys=lists.shoppers,
                times=lists.times,
                exposure_names=np.array(list(exposures), dtype=np.str_),
                exposures=np.array(list(exposures.values())),
                model=np.array(self.model),
                positions=np.array(json.dumps(dict(positions))),
            )
            # The content must be on the disk before the name: a crash would otherwise leave a file that is complete by
            # name only.
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(path)


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[2])


def drawn(lists: Lists, index: npt.NDArray[np.int64]) -> Examples:
    """Return the examples of the lists with these numbers, which rise and may repeat, (m,)."""
    examples = lists.examples
    bounds = np.searchsorted(examples.groups, np.arange(len(lists) + 1))
    sizes = np.diff(bounds)[index]
    # The candidates of a drawn list are its first one plus 0, 1, 2, …
    starts = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    rows = np.arange(sizes.sum()) - np.repeat(starts - bounds[index], sizes)
    return replace(
        examples,
        features=examples.features[rows],
        labels=examples.labels[rows],
        weights=examples.weights[rows],
        groups=np.repeat(np.arange(len(index)), sizes),
        relevant=examples.relevant[index],
        graded=examples.graded[index],
        shoppers=examples.clusters[index],
    )
