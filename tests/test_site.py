"""The documentation site builds without warnings, needs no network, and documents all commands and the Python API."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from streams.cli import COMMANDS
from tests.pages import ROOT

LOADED = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//|<link\b[^>]*\bhref="(?:https?:)?//')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A strict build, in which each warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "REPOSITORY_URL": ""}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_pages_load_nothing_from_other_hosts(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert pages
    assert [page for page in pages if LOADED.search(page.read_text(encoding="utf-8"))] == []
    images = [
        image for image in site.rglob("*.svg") if "@import" in image.read_text() or "url(http" in image.read_text()
    ]
    assert images == []


def test_every_command_has_options_and_an_example(site: Path) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", (site / "commands" / "index.html").read_text(encoding="utf-8")))
    for name in COMMANDS:
        chapter = text.partition(f"intentstream {name}¶")[2]
        assert "Example" in chapter
        assert "--help" in chapter


def test_the_api_page_documents_the_names_of_the_notebook(site: Path) -> None:
    text = (site / "api" / "index.html").read_text(encoding="utf-8")
    for name in ("inference.bundle.load_bundle", "inference.types.Item", "inference.types.Query"):
        assert f'id="{name}"' in text


def test_sources_are_not_linked_without_a_repository(site: Path) -> None:
    assert "event_path.py" in (site / "architecture" / "index.html").read_text(encoding="utf-8")
    assert "/blob/main/" not in (site / "architecture" / "index.html").read_text(encoding="utf-8")
