"""The stored AsyncAPI document is up to date, and its own parser accepts it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from streams.asset_catalogue import default_asyncapi
from streams.contracts.schema import MESSAGES
from tests.clients.conftest import CLIENTS, run
from tests.requirements import fail_or_skip

HERE = Path(__file__).parent / "asyncapi"


def test_the_stored_document_is_up_to_date() -> None:
    stored = json.loads((CLIENTS / "asyncapi.json").read_text())
    assert stored == json.loads(json.dumps(default_asyncapi())), "run `make clients`"


def test_the_lock_names_no_registry() -> None:
    assert "resolved" not in (HERE / "package-lock.json").read_text()


@pytest.mark.timeout(600)
def test_the_parser_of_asyncapi_accepts_the_document(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        fail_or_skip("npm is not installed: it comes with Node.js 20 or later")
    home = tmp_path / "asyncapi"
    shutil.copytree(HERE, home, ignore=shutil.ignore_patterns("node_modules"))
    run(home, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    assert run(home, "node", "check.js", str(CLIENTS / "asyncapi.json")).split() == [str(len(MESSAGES))]
    broken = json.loads((CLIENTS / "asyncapi.json").read_text())
    broken["operations"]["receive-clicks"]["channel"]["$ref"] = "#/channels/nothing"
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    assert "nothing" in run(home, "node", "check.js", str(tmp_path / "broken.json"))
