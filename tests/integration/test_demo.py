"""The demo command with its own broker, worker and catalogue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]


def start_demo(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "streams", "demo", "--catalogue-size", "200", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def remaining_processes(tmp_path: Path) -> list[str]:
    """Return the processes with this test's directory in their command line or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(tmp_path).encode() in words and int(process.name) != os.getpid():
            found.append((process / "cmdline").read_text())
    return found


def test_every_event_is_answered_and_nothing_remains(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--events", "60", "--rate", "50")
    output, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, output
    assert "60 sent, 60 answered, 0 unanswered" in output
    assert "refused     0" in output
    assert "Recommended:" in output
    assert remaining_processes(tmp_path) == []
    assert list(tmp_path.glob("intentstream-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_stops_its_processes(tmp_path: Path, number: signal.Signals) -> None:
    demo = start_demo(tmp_path, "--events", "100000", "--rate", "20")
    assert demo.stdout is not None
    for line in demo.stdout:
        if "First list" in line:
            break
    demo.send_signal(number)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 128 + number, output
    assert "Traceback" not in output
    assert remaining_processes(tmp_path) == []


def test_an_unknown_shopper_is_a_usage_error(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--shopper", "99999")
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert "--shopper: required a household of the data" in output
