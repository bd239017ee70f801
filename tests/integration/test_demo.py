"""The demo command with its own broker, worker and catalogue."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import httpx
import pytest

from training.value.cost_measure import read_worker_costs

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]


def start_demo(tmp_path: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "streams", "demo", "--catalogue-size", "200", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )


def wait_for(demo: subprocess.Popen[str], text: str) -> str:
    """Return the first line of the output with a text."""
    assert demo.stdout is not None
    return next(line for line in demo.stdout if text in line)


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
    assert re.search(r"Console: http://127\.0\.0\.1:\d+/console/ ", output)
    assert remaining_processes(tmp_path) == []
    assert list(tmp_path.glob("intentstream-*")) == []


def test_the_producer_that_sends_wrong_data_is_named_and_not_counted(tmp_path: Path) -> None:
    with start_demo(tmp_path, "--events", "1600", "--rate", "50", "--keep") as demo:
        try:
            summary = wrong_data_is_named(demo)
        finally:
            demo.terminate()
        rest, _ = demo.communicate(timeout=60)
    # After and before the demo waits for the end.
    assert demo.returncode in (0, 128 + signal.SIGTERM), f"{summary} {rest}"
    assert "1,600 sent, 1,600 answered, 0 unanswered" in summary
    assert "refused 0 data shop-app sends" in summary
    for wrong in ("unknown items", "broken messages", "prices out of range"):
        assert wrong in summary


def wrong_data_is_named(demo: subprocess.Popen[str]) -> str:
    """Check that output and console name the producer while the replay goes on, and return the summary."""
    url = wait_for(demo, "Console: ").split("Console: ")[1].split()[0]
    named = wait_for(demo, "Data: ")
    assert re.search(r"Data: shop-app sends .*(?:unknown items|broken messages|prices out of range)", named)
    page = httpx.get(f"{url}data", timeout=30).text
    findings = page[page.index('id="findings"') : page.index('id="streams"')]
    assert "<b>shop-app</b>" in findings
    assert "<b>shop-web</b>" not in findings
    assert demo.stdout is not None
    return " ".join("".join(takewhile(lambda line: "stay up" not in line, demo.stdout)).split())


def test_ctrl_c_stops_the_processes_of_a_demo(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--events", "100000", "--rate", "20")
    wait_for(demo, "First list")
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 128 + signal.SIGINT, output
    assert "Traceback" not in output
    assert remaining_processes(tmp_path) == []


def test_sigterm_ends_a_demo_that_a_script_started_in_the_background(tmp_path: Path) -> None:
    # A shell starts background commands of a script with SIGINT ignored.
    demo = start_demo(tmp_path, "--events", "100000", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_for(demo, "First list")
    demo.terminate()
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 128 + signal.SIGTERM, output
    assert "Traceback" not in output
    assert remaining_processes(tmp_path) == []


def test_the_console_goes_on_after_the_replay_and_marks_what_was_bought_next(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--events", "400", "--rate", "60", "--keep")
    url = wait_for(demo, "Console: ").split("Console: ")[1].split()[0]
    wait_for(demo, "stay up")
    assert_costs_are_read(wait_for(demo, "metrics  ").split()[1], 400)
    with httpx.Client(base_url=url, timeout=30) as client:
        flow = client.get("flow").text
        assert "shop-minilm-l3" in flow
        users = re.findall(r'<option value="(\d+)">', flow)
        pages = [client.get("shopper", params={"user": user}).text for user in users]
        assert any("bought next" in page for page in pages), "the replay ends amid visits"
        assert any("of the list before" in page for page in pages)
        # Actions have the time of the replay. Today's would be years later, and the shopper's intent would have faded.
        form = {"user": users[0], "type": "search", "query": "milk"}
        assert client.post("act", data=form, headers={"Origin": url.removesuffix("/console/")}).status_code == 303
        assert re.search(r"milk</span>\s*<span class=\"when\">\d\d Jan 2017", client.get("shopper", params=form).text)
    demo.terminate()
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output  # that of the replay
    assert remaining_processes(tmp_path) == []


def assert_costs_are_read(metrics: str, events: int) -> None:
    """Assert that the costs of the demo's worker are read from its metrics."""
    found = read_worker_costs(metrics)
    assert sum(found.events.values()) == events
    assert {"view", "purchase"} <= {*found.events} <= {"search", "view", "cart", "purchase"}
    assert {"decode", "retrieve", "rank", "produce"} <= {*found.stages_us}
    assert found.cpu_us is not None
    assert found.cpu_us > sum(each for name, each in found.stages_us.items() if name in ("retrieve", "rank"))
    assert found.memory_bytes is not None
    assert found.sources


def test_the_chinese_demo_speaks_chinese(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--language", "zh", "--events", "60", "--rate", "50")
    output, _ = demo.communicate(timeout=150)
    assert demo.returncode == 0, output
    assert "目录有 200 件商品，60 个来自模拟顾客的事件" in output
    assert "发送 60，应答 60，未应答 0" in output
    # Of all lists: the last one may claim nothing.
    reasons = output.split("推荐理由")[1]
    assert re.search(r"符合您的搜索|因为您|您之前|近期热门|热门商品|常与", reasons), output
    assert remaining_processes(tmp_path) == []


def test_an_unknown_shopper_is_a_usage_error(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--shopper", "99999")
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert "--shopper: required a household of the data" in output
