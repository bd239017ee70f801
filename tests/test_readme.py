"""The examples of the pages that need no broker. `tests/integration/test_examples.py` runs the others."""

from __future__ import annotations

import re
import subprocess
import sys

import click
import pytest

from streams.cli import cli
from streams.contracts.serde import decode_search
from tests.pages import ROOT, block, blocks

PUBLISHERS = "source() { :; }; intentstream() { [ $1 != produce ] || cat; }; kcat() { [ $1 != -P ] || cat; }\n"
"""Replaces the publishing commands by functions that print their input."""


def test_the_library_example_prints_the_shown_output() -> None:
    program = block("README.md", "python", "load_bundle")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == block("README.md", "text", "Oat milk")


@pytest.mark.parametrize("part", ["intentstream produce -\n", "kcat -P"])
def test_the_shell_examples_publish_valid_events(part: str) -> None:
    script = PUBLISHERS + block("README.md", "sh", part)
    printed = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True).stdout
    event = decode_search(b"anna", printed.removeprefix("anna:").encode())
    assert (event.user_id, event.query) == ("anna", "coffee")


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "k8s/README.md",
        *(f"docs/{name}.md" for name in ("clients", "http", "operations", "own-shop", "tutorial")),
    ],
)
def test_every_shell_block_has_valid_syntax(page: str) -> None:
    for each in blocks(page, "sh"):
        subprocess.run(["bash", "-nc", each.text], check=True)


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        *(f"docs/{name}.md" for name in ("demo", "evaluation", "model-swap", "own-shop", "training", "tutorial")),
    ],
)
def test_every_command_and_option_of_the_page_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    used = re.findall(r"\bintentstream ([a-z-]+)([^`\n|#]*)", text)
    assert used
    for name, rest in used:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None, name
        known = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, (name, rest)


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", *(f"docs/{name}.md" for name in ("clients", "demo", "training"))]
)
def test_every_target_of_make_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)) <= targets


@pytest.mark.parametrize("target", ["test-fast", "test-kernels", "test-torch"])
def test_the_tests_that_make_selects_exist(target: str) -> None:
    command = ["make", "--dry-run", "--always-make", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    paths = {word for word in done.stdout.split() if word.startswith("tests/")}
    assert paths
    assert {path for path in paths if not (ROOT / path).exists()} == set()
