"""The advisory audit fails for advisories only, and the SBOM lists the locked packages."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest

from tests.pages import ROOT

PINS = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^\s;]+)", re.MULTILINE)


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "requirements" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(*packages: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


SOUND = {"name": "click", "version": "8.3.3", "vulns": []}
UNKNOWN = {"name": "numpy", "skip_reason": "Dependency not found on PyPI and could not be audited: numpy (2.0)"}
VULNERABLE = {
    "name": "jinja2",
    "version": "2.4.1",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": [], "description": ""}],
}


def test_an_advisory_fails_the_audit_and_is_named(audit: ModuleType) -> None:
    code, text = audit.verdict(report(SOUND, VULNERABLE, UNKNOWN), "")
    assert code == 1
    assert text.splitlines()[1:] == ["jinja2 2.4.1: PYSEC-2019-217, fixed in 2.10.1"]


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "audit skipped: no advisories could be read (no route)"),
        ("<html>", "audit skipped: no advisories could be read (no route)"),
        (report(UNKNOWN), "audit skipped: the package index has no advisories for any of 1 packages"),
        (report(SOUND, UNKNOWN), "audit: no advisory for 1 packages; 1 could not be looked up"),
        (report(SOUND), "audit: no advisory for 1 packages"),
    ],
)
def test_the_network_never_fails_the_audit(audit: ModuleType, output: str, expected: str) -> None:
    assert audit.verdict(output, "no route") == (0, expected)


def test_an_unreachable_index_skips_the_audit(audit: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    code, text = audit.verdict(*audit.run(["build.lock"]))
    assert code == 0
    assert text.startswith("audit skipped")


def test_the_sbom_lists_the_locked_packages(tmp_path: Path) -> None:
    subprocess.run(
        ["make", "sbom", f"SBOM={tmp_path}", f"SBOM_PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, check=True
    )
    for lock in ("cpu", "gpu"):
        bom = json.loads((tmp_path / f"{lock}.cdx.json").read_text())
        assert bom["bomFormat"] == "CycloneDX"
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        described = bom["metadata"]["component"]
        assert (described["name"], described["version"]) == (project["name"], project["version"])
        listed = {(each["name"], each["version"]) for each in bom["components"]}
        assert listed == set(PINS.findall((ROOT / "requirements" / f"{lock}.lock").read_text()))
        assert all(each["purl"].startswith("pkg:pypi/") for each in bom["components"])
