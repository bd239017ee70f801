"""OpenLineage events of trainings and model changes: JSON by its specification 2.0.2, to a file or to a server.

An event names what a job read and wrote. See https://openlineage.io/docs/spec/object-model. A lost event stops nothing.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import msgspec

from inference.bundle import Bundle
from inference.manifest import MANIFEST, DataInput, Manifest
from inference.manifest_files import read_manifest
from streams.contracts.messages import ModelPin
from streams.serving.folders import ModelFolders
from streams.settings import Settings

log = logging.getLogger(__name__)

SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACETS = "https://openlineage.io/spec/facets"
TIMEOUT_S = 5.0
Event = dict[str, Any]
Dataset = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LineageEvents:
    """Emitter of events.

    Attributes:
        target: path of a JSON Lines file, or the URL of a server; None for none.
        namespace: namespace of the jobs: the consumer group of the workers.
        brokers: the first broker, as HOST:PORT: the namespace of topics.
    """

    target: str | None
    namespace: str
    brokers: str

    @classmethod
    def of(cls, settings: Settings) -> LineageEvents:
        """Return the emitter that the settings name."""
        first = settings.kafka.bootstrap_servers.split(",")[0].strip()
        return cls(settings.assets.lineage, settings.kafka.app_id, first)

    def trained(self, job: str, bundle: Path, inputs: Iterable[DataInput]) -> None:
        """Emit that a job wrote a bundle. It blocks for at most TIMEOUT_S; a failure is logged."""
        if self.target is not None:
            self.emit(job, [self.data(each) for each in inputs], [model_dataset(bundle, read_manifest(bundle))])

    def swapped(self, manifest: Manifest, folder: Path, lists_topic: str) -> None:
        """Emit that lists come from another model from now on. It blocks for at most TIMEOUT_S."""
        if self.target is not None:
            self.emit("serve", [model_dataset(folder, manifest)], [self.topic(lists_topic)])

    def emit(self, job: str, inputs: list[Dataset], outputs: list[Dataset]) -> None:
        """Emit that a job has read its inputs and written its outputs."""
        target = self.target
        if target is None:
            return
        content = msgspec.json.encode(run_event(self.namespace, job, inputs, outputs))
        try:
            if target.startswith(("http://", "https://")):
                request = urllib.request.Request(  # noqa: S310 - the scheme is checked
                    target, content, {"Content-Type": "application/json"}, method="POST"
                )
                with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
                    pass
            else:
                with Path(target).open("ab") as file:
                    file.write(content + b"\n")
        except OSError as error:
            log.warning("the OpenLineage event of %s is lost: %s", job, error)

    def topic(self, name: str) -> Dataset:
        """Return a topic as a dataset."""
        return {"namespace": f"kafka://{self.brokers}", "name": name}

    def data(self, given: DataInput) -> Dataset:
        """Return an input as a dataset: a topic, or a file with its digest as version."""
        if given.sha256 is None:
            return self.topic(given.name)
        return _versioned(_file(Path(given.name)), given.sha256)


def emit_swap(settings: Settings, folders: ModelFolders, bundle: Bundle) -> None:
    """Emit a model change in another thread. Nobody waits for it."""
    events = LineageEvents.of(settings)
    if events.target is not None:
        folder = folders.path(ModelPin(name=bundle.name, version=bundle.version))
        work = partial(events.swapped, bundle.manifest, folder, settings.topics.recommendations)
        asyncio.get_running_loop().run_in_executor(None, work)


def run_event(namespace: str, job: str, inputs: list[Dataset], outputs: list[Dataset]) -> Event:
    """Return the event of a run that has ended well."""
    return {
        "eventType": "COMPLETE",
        "eventTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "run": {"runId": str(uuid4())},
        "job": {"namespace": namespace, "name": job},
        "inputs": inputs,
        "outputs": outputs,
        "producer": producer(),
        "schemaURL": SCHEMA,
    }


def producer() -> str:
    """Return the URI of this program."""
    return f"urn:intentstream:{version('intentstream')}"


def model_dataset(folder: Path, manifest: Manifest) -> Dataset:
    """Return a bundle as a dataset. Its version is the digest of its manifest's files."""
    digest = ",".join(f"{each.name}={each.sha256[:16]}" for each in manifest.files)
    return _versioned(_file(folder / MANIFEST), digest)


def _file(path: Path) -> Dataset:
    return {"namespace": "file", "name": quote(str(path.resolve()))}


def _versioned(dataset: Dataset, data_version: str) -> Dataset:
    facet: Mapping[str, str] = {
        "_producer": producer(),
        "_schemaURL": f"{FACETS}/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
        "datasetVersion": data_version,
    }
    return {**dataset, "facets": {"version": facet}}
