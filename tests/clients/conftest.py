"""The TypeScript client, packed and installed in a project of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pages import ROOT
from tests.requirements import fail_or_skip

CLIENTS = ROOT / "clients"
CONFIG = {"target": "ES2022", "module": "NodeNext", "strict": True, "exactOptionalPropertyTypes": True}


def run(home: Path, *command: str, **variables: str) -> str:
    """Run a program in a folder and return its output. Fails with it."""
    done = subprocess.run(
        command, cwd=home, env={**os.environ, **variables}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True)
class TypeScript:
    """The client's folder, a copy, and the folder of a project that has installed it."""

    client: Path
    project: Path

    def run(self, program: str, **variables: str) -> list[str]:
        """Check the types of a program of the project, compile it, run it in Node, and return its lines."""
        source = self.project / "program.ts"
        if not source.exists() or source.read_text() != program:
            source.write_text(program)
            run(self.project, str(self.client / "node_modules" / ".bin" / "tsc"))
        return run(self.project, "node", "program.js", **variables).splitlines()


@pytest.fixture(scope="session")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> TypeScript:
    """Install the client as docs/clients.md says. Without Node fail in CI, and skip elsewhere."""
    if shutil.which("npm") is None:
        fail_or_skip("npm is not installed: it comes with Node.js 20 or later")
    home = tmp_path_factory.mktemp("clients")
    shutil.copytree(CLIENTS, home / "clients", ignore=shutil.ignore_patterns("node_modules", "dist"))
    client, project = home / "clients" / "typescript", home / "project"
    run(home, "npm", "ci", "--prefix", str(client))
    run(home, "npm", "pack", str(client))
    (packed,) = home.glob("*.tgz")
    project.mkdir()
    (project / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    types = {"typeRoots": [str(client / "node_modules" / "@types")], "types": ["node"]}
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": {**CONFIG, **types}}))
    run(project, "npm", "install", "--no-audit", "--no-fund", str(packed))
    return TypeScript(client, project)
