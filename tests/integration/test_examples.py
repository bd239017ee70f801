"""The examples of README.md and the tutorial that need a broker, run from the pages themselves."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from inference.types import Item
from streams.kafka.embedded import free_port
from streams.settings import Settings
from streams.settings_groups import PREFIX
from tests.integration.shop_client import ShopClient
from tests.integration.template import ROOT
from tests.integration.workers import worker, worker_settings
from tests.pages import Block, block, blocks

ITEMS = [Item(item_id="1", title="Ground coffee"), Item(item_id="2", title="Running shoes")]
PREAMBLE = "source() { :; }\n"
"""Replaces the activation of the environment, which is on the path already."""
WAIT = "until {}; do sleep 0.1; done\n"


@pytest.fixture
async def shop(kafka: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings of a broker with a worker that serves two items."""
    settings = worker_settings(kafka, request.node.name)
    async with ShopClient.connected(settings) as opened, worker(settings, tmp_path) as running:
        await opened.publish_items(ITEMS)
        await running.wait_for_items(len(ITEMS))
        yield settings


async def test_the_python_example_prints_the_list_of_its_search(shop: Settings) -> None:
    program = block("README.md", "python", "AIOKafkaConsumer").replace("localhost:9092", shop.kafka.bootstrap_servers)
    for topic in ("searches", "recommendations"):
        program = program.replace(f'"{topic}"', f'"{getattr(shop.topics, topic)}"')
    lines = await output([sys.executable, "-c", program], environment())
    assert lines[0] == "1 1 matches your search “coffee”"


async def test_the_shell_example_gets_a_list(shop: Settings) -> None:
    script = block("README.md", "sh", "intentstream produce -\n")
    script = script.replace("127.0.0.1:PORT", shop.kafka.bootstrap_servers)
    lines = await output(["bash", "-euc", PREAMBLE + script], {**environment(), **shop.environment()})
    assert any("Ground coffee" in line and "matches your search “coffee”" in line for line in lines)


async def test_the_kcat_example_publishes_and_reads(shop: Settings) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed; tests/test_readme.py checks its message")
    script = block("README.md", "sh", "kcat -P").replace("localhost:9092", shop.kafka.bootstrap_servers)
    for topic in ("searches", "recommendations"):
        script = script.replace(f"-t {topic}", f"-t {getattr(shop.topics, topic)}")
    # Wait until the list is produced.
    lines = await output(["bash", "-euc", script.replace("kcat -C", "sleep 5\nkcat -C")], environment())
    assert '"event_id":"e-2"' in lines[-1]


@pytest.mark.embedded
@pytest.mark.timeout(240)
async def test_the_tutorial_works(tmp_path: Path) -> None:
    printed = await run_blocks(blocks("docs/tutorial.md", "sh"), tmp_path, 200)
    (shown,) = (each.text for each in blocks("docs/tutorial.md", "text"))
    assert shown in printed
    assert "after search" in printed
    assert "Down sleeping bag" in printed


@pytest.mark.embedded
@pytest.mark.timeout(660)
async def test_the_import_of_a_shop_works(tmp_path: Path) -> None:
    printed = await run_blocks(blocks("docs/own-shop.md", "sh"), tmp_path, 600)
    (shown,) = (each.text for each in blocks("docs/own-shop.md", "text"))
    assert shown in printed
    assert "Tested from" in printed
    assert "this ranker" in printed
    assert "  shop-minilm-l3/2" in printed
    assert '"facets"' in printed


@pytest.mark.embedded
@pytest.mark.timeout(240)
async def test_the_first_list_needs_five_lines_of_curl(tmp_path: Path) -> None:
    shell = blocks("README.md", "sh", "First list in five lines of curl")
    assert shell[-1].text.count("\ncurl ") == 5
    *_, accepted, profile, found = [json.loads(line) for line in (await run_blocks(shell, tmp_path, 200)).splitlines()]
    assert [each["topic"] for each in accepted["accepted"]] == ["clicks"]
    assert [each["title"] for each in profile["recent_items"]] == ["Oat milk"]
    assert [item["item_id"] for item in found["items"]][:1] == ["1"]
    assert found["fallback"] is None


async def run_blocks(shell: Sequence[Block], home: Path, seconds: float) -> str:
    """Run shell blocks of a page in their order, and return what the ones without a title print.

    A block with a title runs as in a terminal of its own, from the moment at which the reader arrives there. The first
    one is the broker.
    """
    ports = {port: str(free_port()) for port in ("9092", "9100", "9200")}
    for name in ("exported_models", "streams", "inference", "training"):
        (home / name).symlink_to(ROOT / name)
    variables = {**environment(), f"{PREFIX}METRICS_PORT": ports["9100"]}
    foreground = [PREAMBLE]
    with ExitStack() as stack:
        for each in shell:
            text = replaced(each.text, ports)
            if each.title:
                reached = f"{each.title}.reached"
                stack.enter_context(background(f"{WAIT.format(f'[ -e {reached} ]')}{text}", home, variables))
                text = f"touch {reached}\n" + WAIT.format(f"(exec 3<>/dev/tcp/127.0.0.1/{ports['9092']}) 2>/dev/null")
            foreground.append(text)
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-euc", "".join(foreground)],
            cwd=home, env=variables, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + logs(home)
    return str(done.stdout)


def replaced(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text


def logs(home: Path) -> str:
    return "".join(log.read_text() for log in home.glob("*.log"))


def _heed_sigint() -> None:
    """Undo what a shell does for commands in the background: they ignore SIGINT, and would be killed after 30 s."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def background(script: str, home: Path, variables: dict[str, str]) -> Iterator[None]:
    """Run a block whose last command runs until Ctrl-C. With `exec` it receives the signal."""
    *first, last = script.strip().split("\n")
    command = ["bash", "-euc", "\n".join([PREAMBLE, *first, f"exec {last}"])]
    with (home / f"{last.split()[0]}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=variables, stdout=log, stderr=log, preexec_fn=_heed_sigint)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment() -> dict[str, str]:
    """Return the environment, with this interpreter's commands and this source tree on the paths."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**inherited, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


async def output(command: list[str], variables: dict[str, str]) -> list[str]:
    """Run a command and return its output lines. Fails with its output."""
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout).splitlines()
