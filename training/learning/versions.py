"""Versions of the model in the folder that workers watch: publishes, goes back, and deletes old ones.

A version appears by one rename, so workers never see a part of it. Going back writes the former ranker as a new
version: workers take the newest version of the folder, and the loop needs no right to write to Kafka. Only versions
that this loop wrote are deleted. Numbers are not used again.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import onnx

from inference.errors import BundleError
from inference.manifest import RANKER, DataInput, FittedPeriod
from inference.manifest_files import read_manifest
from streams.contracts.messages import ModelPin
from streams.serving.folders import order
from streams.serving.store import BundleStore
from training.ranker.bundle import FILES, with_ranker

log = logging.getLogger(__name__)

STAGING = ".learning"
"""Folder beside the models in which versions are written. It has no manifest at the depth of a version."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A version of this loop.

    Attributes:
        version: the version.
        former: the version that it replaced.
        at_ms: event time of the publication.
        reason: the judgement that led to it.
        held_out_ms: length of the period before the publication on which it was judged.
        goes_back: whether it is a rollback.
    """

    version: str
    former: str
    at_ms: int
    reason: str
    held_out_ms: int = 0
    goes_back: bool = False


class Cause(NamedTuple):
    """The cause of a publication; see `Published`."""

    at_ms: int
    reason: str
    held_out_ms: int = 0
    goes_back: bool = False


class Ledger(msgspec.Struct, kw_only=True):
    """The versions that this loop has published, the last one last, and the times of its work.

    Attributes:
        published: the versions, also deleted ones.
        highest: the highest number in use so far.
        refitted_ms: event time of the last scheduled refit or publication, 0 for none.
        tried_ms: event time of the last refit of any kind.
        drifted_ms: event time at which drift was found last.
        guarded: the version whose click rate is observed, None if none is.
        serving: the version that workers served at the last check, empty before the first one.
        serving_since_ms: event time since when, 0 if it served from the beginning.
    """

    published: list[Published] = []
    highest: int = 0
    refitted_ms: int = 0
    tried_ms: int = 0
    drifted_ms: int = 0
    guarded: str | None = None
    serving: str = ""
    serving_since_ms: int = 0


@dataclass(slots=True)
class Versions:
    """The model's versions. Its methods block.

    Attributes:
        models: the bundles.
        path: file of the ledger.
        kept: newest versions of this loop that are kept.
        ledger: the ledger.
    """

    models: BundleStore
    path: Path
    kept: int
    ledger: Ledger

    @classmethod
    def opened(cls, models: BundleStore, path: Path, kept: int) -> Versions:
        """Read the ledger. An unreadable one is replaced by an empty one, with an error in the log.

        What a killed process left in STAGING is deleted.
        """
        shutil.rmtree(models.directory / STAGING, ignore_errors=True)
        ledger = Ledger()
        try:
            ledger = msgspec.json.decode(path.read_bytes(), type=Ledger)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError) as error:
            log.error("%s cannot be read; its versions stay in the model folder: %s", path, error)  # noqa: TRY400
        return cls(models, path, kept, ledger)

    def in_use(self, pinned: ModelPin | None) -> ModelPin:
        """Return the model that workers serve: the pinned one, or else the newest. Raises BundleError without any."""
        model = pinned or self.models.newest()
        if model is None:
            raise BundleError("learn: required a model at INTENTSTREAM_MODEL_PATH, got none")
        return model

    def serving_since_ms(self, model: ModelPin, now_ms: int) -> int:
        """Note which model workers serve, and return the event time since when, 0 if it was the first one."""
        ledger = self.ledger
        if ledger.serving != model.version:
            published = (each.at_ms for each in ledger.published if each.version == model.version)
            ledger.serving_since_ms = next(published, now_ms if ledger.serving else 0)
            ledger.serving = model.version
            self.save()
        return ledger.serving_since_ms

    def publish(
        self,
        ranker: onnx.ModelProto,
        former: ModelPin,
        cause: Cause,
        fitted_to: Sequence[FittedPeriod] = (),
        inputs: Sequence[DataInput] = (),
    ) -> ModelPin:
        """Write the former model with another ranker as the newest version. Raises BundleError, OSError.

        `fitted_to` is the data that the ranker was fitted to, and `inputs` the topics that it came from.
        """
        model = ModelPin(name=former.name, version=str(self._next(former)))
        staged = self.models.directory / STAGING / model.name / model.version
        shutil.rmtree(staged, ignore_errors=True)
        staged.parent.mkdir(parents=True, exist_ok=True)
        with_ranker(self.models.path(former), staged, ranker, fitted_to, inputs)
        target = self.models.directory / model.name / model.version
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(target)
        # The version appears before the ledger names it. A crash in between leaves a version that is never deleted, and
        # `_next` counts it.
        ledger = self.ledger
        ledger.highest = int(model.version)
        ledger.published.append(Published(version=model.version, former=former.version, **cause._asdict()))
        ledger.guarded = None if cause.goes_back else model.version
        self.save()
        return model

    def go_back(self, bad: Published, name: str, at_ms: int, reason: str) -> ModelPin:
        """Publish the ranker that a version replaced. Raises BundleError, OSError."""
        former = self.models.path(ModelPin(name=name, version=bad.former))
        ranker = onnx.load(former / FILES["ranker"])
        cause, known = Cause(at_ms, reason, goes_back=True), read_manifest(former)
        of_ranker = [each for each in known.inputs if each.part == RANKER]
        return self.publish(ranker, ModelPin(name=name, version=bad.version), cause, known.fitted_to, of_ranker)

    def guarded(self) -> Published | None:
        """Return the version whose click rate is observed."""
        return next((each for each in self.ledger.published if each.version == self.ledger.guarded), None)

    def prune(self, name: str, in_use: Collection[ModelPin]) -> list[str]:
        """Delete this loop's versions but the newest `kept`, those in use, and the one to go back to."""
        own = [each.version for each in self.ledger.published]
        guarded = self.guarded()
        needed = {each.version for each in in_use} | {*own[-self.kept :]}
        if guarded is not None:
            needed |= {guarded.version, guarded.former}
        deleted = []
        for version in own:
            folder = self.models.directory / name / version
            if version not in needed and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
                deleted.append(version)
        return deleted

    def save(self) -> None:
        """Write the ledger."""
        unfinished = self.path.with_suffix(".new")
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(self.ledger), indent=2))
        unfinished.rename(self.path)

    def _next(self, former: ModelPin) -> int:
        """Return a number above all versions in the folder, those of the ledger and the configured one."""
        folder = self.models.directory / former.name
        known = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        known += [former.version, str(self.ledger.highest)]
        if self.models.configured is not None:
            known.append(self.models.configured.model.version)
        # `order` gives words the number 2**63, so versions that begin with a word do not count.
        numbers = [first for version in known if (parts := order(version)) and (first := parts[0][0]) < 2**63]
        return max(numbers, default=0) + 1
