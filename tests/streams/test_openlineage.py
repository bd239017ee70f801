"""OpenLineage events: valid by the specification's own classes, written to a file or sent, and never an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from inference.manifest import DataInput
from inference.manifest_files import read_manifest
from streams.openlineage import LineageEvents
from streams.settings import load_settings
from tests.conftest import BUNDLE

INPUTS = (
    DataInput(part="ranker", name="events.jsonl", sha256="a" * 64, bytes=9),
    DataInput(part="ranker", name="clicks", records=100),
)


def emitter(target: str | None) -> LineageEvents:
    return LineageEvents(target, "shop", "kafka:9092")


def require_valid(event: dict[str, Any]) -> None:
    """Build the event from the classes that OpenLineage generates from its specification. They check their values."""
    from openlineage.client import event_v2
    from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet

    def datasets(kind: Any, given: list[dict[str, Any]]) -> list[Any]:
        return [
            kind(each["namespace"], each["name"], facets={
                name: DatasetVersionDatasetFacet(facet["datasetVersion"], producer=facet["_producer"])
                for name, facet in each.get("facets", {}).items()
            })
            for each in given
        ]  # fmt: skip

    built = event_v2.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=event_v2.Run(event["run"]["runId"]),
        job=event_v2.Job(**event["job"]),
        eventType=event_v2.RunState(event["eventType"]),
        inputs=datasets(event_v2.InputDataset, event["inputs"]),
        outputs=datasets(event_v2.OutputDataset, event["outputs"]),
    )
    assert built.schemaURL == event["schemaURL"]
    for each in (*event["inputs"], *event["outputs"]):
        for facet in each.get("facets", {}).values():
            assert facet["_schemaURL"] == DatasetVersionDatasetFacet("1")._schemaURL


def test_a_training_names_its_inputs_and_the_bundle(tmp_path: Path) -> None:
    file = tmp_path / "lineage.jsonl"
    emitter(str(file)).trained("train-ranker", Path(BUNDLE), INPUTS)
    emitter(str(file)).swapped(read_manifest(Path(BUNDLE)), Path(BUNDLE), "recommendations")
    trained, swapped = map(json.loads, file.read_text().splitlines())
    for event in (trained, swapped):
        require_valid(event)
    assert trained["job"] == {"namespace": "shop", "name": "train-ranker"}
    names = [(each["namespace"], Path(each["name"]).name) for each in trained["inputs"]]
    assert names == [("file", "events.jsonl"), ("kafka://kafka:9092", "clicks")]
    assert trained["inputs"][0]["facets"]["version"]["datasetVersion"] == "a" * 64
    assert swapped["inputs"] == trained["outputs"]
    assert swapped["outputs"] == [{"namespace": "kafka://kafka:9092", "name": "recommendations"}]


def test_an_event_is_sent_to_a_server() -> None:
    with server() as (address, received):
        emitter(address).emit("job", [], [])
    ((path, event),) = received
    assert path == "/api/v1/lineage"
    require_valid(event)


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/lineage", "/no/such/folder/file"])
def test_a_lost_event_is_a_warning(target: str, caplog: pytest.LogCaptureFixture) -> None:
    emitter(target).emit("job", [], [])
    assert "the OpenLineage event of job is lost" in caplog.text


def test_nothing_is_read_or_written_without_a_target(tmp_path: Path) -> None:
    emitter(None).trained("job", tmp_path / "no bundle", INPUTS)
    assert LineageEvents.of(load_settings(env_file=None)).target is None
    given = load_settings({"assets_lineage": "x.jsonl", "bootstrap_servers": "a:1,b:2"}, env_file=None)
    assert LineageEvents.of(given) == LineageEvents("x.jsonl", "intentstream", "a:1")


@contextmanager
def server() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    received: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, json.loads(body)))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/api/v1/lineage", received
        running.shutdown()
