"""`value` on a small log: its files, its determinism, and its continuation after an interruption."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from streams.cli import cli
from streams.contracts.serde import encode_json
from streams.value.file import parse_report
from streams.value.report import ValueReport
from tests.streams.desk import assert_one_line
from tests.training.value.small_study import SHOP, shop_events
from tests.training.value.test_cost import metrics_text
from training.commands.value import CHOICES
from training.value.sections import NAMES


class Workspace:
    """A folder with a catalogue and events, and the command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "items.jsonl").write_bytes(b"\n".join(map(encode_json, SHOP)))
        (folder / "events.jsonl").write_bytes(b"\n".join(map(encode_json, shop_events())))

    def arguments(self, output: str, *options: str) -> list[str]:
        catalog, events = str(self.folder / "items.jsonl"), str(self.folder / "events.jsonl")
        given = ["--catalog", catalog, "--events", events, "--output", str(self.folder / output)]
        return ["value", *given, "--test-share", "0.5", "--pairs", "1", *options]

    def value(self, output: str, *options: str) -> Result:
        return CliRunner(env={"COLUMNS": "100"}).invoke(cli, self.arguments(output, "--jobs", "1", *options))

    def report(self, output: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / output / "value.json").read_bytes())
        return found


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_all_sections_are_written_and_printed(workspace: Workspace) -> None:
    result = workspace.value("out")
    assert result.exit_code == 0, result.output
    read = parse_report((workspace.folder / "out" / "value.json").read_bytes())
    assert isinstance(read, ValueReport), read
    assert msgspec.json.decode(msgspec.json.encode(read)) == workspace.report("out"), "workers read all of it"
    assert "Without its most valuable asset" in result.stdout
    report = workspace.report("out")
    assert (report["schema"], report["version"], report["protocol"]) == ("intentstream-value", 1, "next-item")
    assert [*report["sections"]] == ["assets", "cost", "sessions", "overlap"]  # too few sessions for a live value model
    kinds = {each["kind"] for each in report["sections"]["assets"]["values"]}
    assert kinds == {"source", "group", "feature", "type", "field", "attribute", "history"}
    overlap = report["sections"]["overlap"]
    total = sum(each["value"]["value"] for each in overlap["values"])
    assert total == pytest.approx(overlap["whole"]["value"] - overlap["nothing"]["value"] + overlap["gap"], abs=1e-9)
    assert any("replays" in each for each in report["plan"])
    page = (workspace.folder / "out" / "value.html").read_text()
    assert page.count("<svg") >= 8
    assert "frozen" in page
    for title in (
        "Sources of candidates",
        "Features of the ranker",
        "Types of events",
        "Days of history",
        "Convergence",
    ):
        assert f">{title}</h" in page
    assert all(html.escape(each["title"]) in page for each in overlap["values"])
    assert "antithetic pairs" in page
    assert "0 by construction" not in page  # this shop sends nothing that is not read
    assert not re.search(r"(src|href)=[\"']?(http|//)|@import|url\(http", page)


def test_only_some_parts_are_measured(workspace: Workspace) -> None:
    result = workspace.value("out", "--only", "types,history", "--protocol", "search")
    assert result.exit_code == 0, result.output
    report = workspace.report("out")
    assert [*report["sections"]] == ["assets"]
    assert {each["kind"] for each in report["sections"]["assets"]["values"]} == {"type", "history"}
    assert report["options"]["k"] == 10


def test_the_report_describes_the_events_that_were_replayed(workspace: Workspace) -> None:
    # A visit of the shop has six events.
    result = workspace.value("out", "--only", "types", "--newest", "120")
    assert result.exit_code == 0, result.output
    data = workspace.report("out")["data"]
    assert (data["events"], data["shoppers"], data["sessions"]) == (120, 8, 20)
    newest = shop_events()[-120:]
    assert (data["since"], data["until"]) == (newest[0].occurred_at.isoformat(), newest[-1].occurred_at.isoformat())


def test_a_second_run_finds_all_replays_and_another_seed_none(workspace: Workspace) -> None:
    def sections(output: str) -> Any:
        return workspace.report(output)["sections"]

    assert workspace.value("one", "--only", "types,history").exit_code == 0
    first, ran = sections("one"), workspace.report("one")["replays"]["run"]
    assert workspace.value("one", "--only", "types,history").exit_code == 0
    assert sections("one") == first
    assert workspace.report("one")["replays"]["run"] == 0 < ran
    assert workspace.value("other", "--only", "types,history").exit_code == 0
    assert sections("other") == first
    assert workspace.value("one", "--only", "types,history", "--seed", "1").exit_code == 0
    assert workspace.report("one")["replays"]["found"] == 0


def _heed_sigint() -> None:
    """Undo what a shell does for commands in the background: they ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize(
    ("signal_number", "parts"), [(signal.SIGINT, "types,overlap"), (signal.SIGKILL, "types,fields")]
)
def test_an_interrupted_run_continues(workspace: Workspace, signal_number: signal.Signals, parts: str) -> None:
    arguments = workspace.arguments("out", "--jobs", "2", "--only", parts)
    command = [sys.executable, "-m", "streams", *arguments]
    replays = workspace.folder / "out" / "replays"
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=_heed_sigint
    ) as process:
        deadline = time.monotonic() + 120
        while not any(replays.glob("*.npz")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)  # nothing signals the first file: look for it until the deadline
        # Ctrl-C in a terminal goes to all processes of the group.
        os.killpg(process.pid, signal_number)
        _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors, errors.decode()
    known = len(list(replays.glob("*.npz")))
    assert known >= 1
    assert process.returncode == (130 if signal_number == signal.SIGINT else -signal.SIGKILL)
    assert not (workspace.folder / "out" / "value.json").exists()
    # The same command again, in this process: starting three processes costs more than the replays.
    finished = workspace.value("out", "--only", parts)
    assert finished.exit_code == 0, finished.output
    report = workspace.report("out")
    assert report["replays"]["found"] >= 1
    assert workspace.value("whole", "--only", parts).exit_code == 0
    assert report["sections"] == workspace.report("whole")["sections"]


def test_a_ranker_is_fitted_once_to_the_events_before_the_test(workspace: Workspace) -> None:
    options = ("--only", "types", "--ranker", "fitted")
    assert workspace.value("out", *options).exit_code == 0
    report = workspace.report("out")
    assert (report["model"]["ranker"], report["model"]["version"]) == ("fitted", "fitted")
    assert report["model"]["known_share"] == 0
    (manifest,) = (workspace.folder / "out" / "models").glob("*/*/*/manifest.json")
    written = manifest.stat().st_mtime_ns
    assert {each["model"] for each in report["sections"]["assets"]["values"] if each["loss"]} == {"frozen"}
    assert workspace.value("out", *options).exit_code == 0
    assert manifest.stat().st_mtime_ns == written
    assert workspace.report("out")["replays"]["run"] == 0


def test_vectors_of_another_model_are_made_anew_but_refused_if_they_are_given(workspace: Workspace) -> None:
    (workspace.folder / "out").mkdir()
    vectors = workspace.folder / "out" / "vectors.npz"
    vectors.write_bytes(b"of another version")
    assert_one_line(workspace.value("other", "--vectors", str(vectors)), 2, "required vectors written by")
    assert workspace.value("out", "--only", "history").exit_code == 0
    with np.load(vectors) as written:
        assert len(written["vectors"]) == len(SHOP)


def test_costs_of_a_worker_are_read_before_the_replays(workspace: Workspace) -> None:
    metrics = workspace.folder / "metrics.txt"
    metrics.write_text(metrics_text("repeat", "query"))
    wrong = workspace.value("out", "--only", "overlap", "--metrics", str(metrics))
    assert_one_line(wrong, 2, "--metrics: required cost and one of sources, ")
    missing = workspace.value("out", "--only", "types,cost", "--metrics", str(workspace.folder / "none.txt"))
    assert_one_line(missing, 2, "none.txt: required the metrics of a worker")
    assert not (workspace.folder / "out" / "replays").exists()
    result = workspace.value("out", "--only", "types,cost", "--metrics", str(metrics))
    assert result.exit_code == 0, result.output
    assert re.search(r"events: view +2", result.stdout)
    assert workspace.report("out")["sections"]["cost"]["running"]["sources"] == {"repeat": 0.5, "query": 0.5}


def test_errors_are_one_line(workspace: Workspace) -> None:
    assert "required names from" in workspace.value("out", "--only", "sources,nothing").output
    nothing = workspace.value("out", "--only", "context")
    assert nothing.exit_code == 2
    assert "Error: --only: required data for context, got none in this log" in nothing.stderr
    (workspace.folder / "file").write_text("")
    assert_one_line(workspace.value("file/out"), 2, "--output: required a folder")
    (workspace.folder / "events.jsonl").write_text("\n")
    assert_one_line(workspace.value("out"), 2, "required at least one event")


def test_the_help_names_all_parts() -> None:
    assert CHOICES == NAMES
