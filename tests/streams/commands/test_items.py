"""`intentstream items`: tables and JSON Lines of derived attributes, duplicates and variants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from inference.records import Item
from streams.cli import cli
from streams.contracts.serde import encode_json

ITEMS = (
    Item(item_id="1", title="Fjell coffee mug black 500 ml", brand="Fjell"),
    Item(item_id="2", title="Fjell coffee mug [red] 500 ml\x1b[31m", brand="Fjell", attributes={"colour": "Ruby"}),
    Item(item_id="3", title="Fjell coffee mug white"),
    Item(item_id="4", title="Fjell coffee mug blue 500 ml", brand="Fjell"),
)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"\n".join(map(encode_json, ITEMS)) + b"\n")
    return path


def run(*options: object) -> Result:
    done = CliRunner().invoke(cli, ["items", *map(str, options)])
    assert done.exit_code == 0, done.output
    return done


def lines(done: Result) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_attributes_as_json(catalog: Path) -> None:
    found = {each["item_id"]: each["derived"] for each in lines(run("attributes", "--catalog", catalog, "--json"))}
    assert found["1"] == {
        "colour": {"value": "black", "source": "lexicon", "text": "black"},
        "capacity": {"value": "500 ml", "source": "rule", "text": "500 ml"},
    }
    assert set(found["2"]) == {"capacity"}, "the shop's own colour stays"
    assert found["3"]["brand"] == {"value": "Fjell", "source": "catalogue", "text": "fjell"}


def test_attributes_follow_the_setting(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTSTREAM_DERIVE_ATTRIBUTES", "capacity")
    found = lines(run("attributes", "--catalog", catalog, "--json"))
    assert {name for each in found for name in each["derived"]} == {"capacity"}
    monkeypatch.setenv("INTENTSTREAM_DERIVE_ATTRIBUTES", "none")
    assert "0 values derived for 4 items" in run("attributes", "--catalog", catalog).output


def test_attributes_as_a_table(catalog: Path) -> None:
    output = run("attributes", "--catalog", catalog, "--limit", 2).output
    assert "500 ml" in output
    assert "more: --limit" in output
    assert "\x1b[31m" not in run("attributes", "--catalog", catalog).output


def test_duplicates(catalog: Path) -> None:
    found = lines(run("duplicates", "--catalog", catalog, "--json"))
    assert {"kind": "variant", "items": ["1", "2", "4"], "score": None, "differ_in": ["colour"]} in found
    output = run("duplicates", "--catalog", catalog).output
    assert "1 groups of variants with 3 items" in output
    assert "[red]" in output


def test_an_unknown_attribute_is_refused(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTSTREAM_DERIVE_ATTRIBUTES", "colour,taste")
    done = CliRunner().invoke(cli, ["items", "attributes", "--catalog", str(catalog)])
    assert done.exit_code != 0
    assert "INTENTSTREAM_DERIVE_ATTRIBUTES" in str(done.exception) + done.output
