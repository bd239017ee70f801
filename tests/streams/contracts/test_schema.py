"""The exported JSON Schema agrees with the decoders."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from streams.commands.schema import schema
from streams.contracts.messages import DeadLetter, Recommendations
from streams.contracts.schema import schemas
from streams.contracts.serde import encode_json, parse_interaction, parse_item
from streams.errors import InvalidEvent
from tests.streams.contracts.test_serde_fuzz import letters, lists
from tests.streams.strategies import ITEM, SEARCH, VIEW, json_values

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


@cache
def validator(name: str) -> Draft202012Validator:
    """Return the validator of a message, which also checks times."""
    # Takes 2 s to load: not while tests are collected.
    from jsonschema import Draft202012Validator, FormatChecker

    formats = FormatChecker(formats=())
    formats.checks("date-time", raises=ValueError)(is_rfc3339)
    return Draft202012Validator(schemas()[name], format_checker=formats)


def is_rfc3339(value: object) -> bool:
    """Check date-times, which jsonschema only does with another package."""
    return not isinstance(value, str) or ("T" in value and datetime.fromisoformat(value).tzinfo is not None)


@pytest.mark.parametrize("name", sorted(schemas()))
def test_each_schema_is_valid_with_a_unique_id(name: str) -> None:
    body, checker = schemas()[name], validator(name)
    checker.check_schema(body)
    assert body["$schema"] == checker.META_SCHEMA["$id"]
    assert body["$id"] == f"urn:intentstream:v1:{name}"
    assert body["title"] == name
    assert body["description"]
    text = json.dumps(body)
    assert r"\n    " not in text  # docstrings without the indentation of the source
    assert '"discriminator"' not in text  # not a keyword of JSON Schema


def test_every_time_is_a_date_time() -> None:
    structs = [struct for body in schemas().values() for struct in body["$defs"].values()]
    times = [field for struct in structs for name, field in struct["properties"].items() if name.endswith("_at")]
    assert len(times) >= 8
    assert all('"format": "date-time"' in json.dumps(field) for field in times)


@given(lists)
def test_recommendations_are_valid(message: Recommendations) -> None:
    validator("recommendations").validate(json.loads(encode_json(message)))


@given(letters)
def test_dead_letters_are_valid(letter: DeadLetter) -> None:
    validator("dead-letters").validate(json.loads(encode_json(letter)))


@given(
    st.sampled_from([("clicks", VIEW), ("searches", SEARCH), ("items", ITEM)]),
    st.data(),
    json_values | st.sampled_from(["2026-01-01T00:00:00", "2026-01-01T00:00:00Z", "EUR", "cart", 0, -1]),
)
def test_schema_and_decoder_agree(base: tuple[str, dict[str, Any]], data: st.DataObject, value: Any) -> None:
    name, message = base
    field = data.draw(st.sampled_from(sorted(message)))
    changed = {**message, field: value}
    try:
        (parse_item if name == "items" else parse_interaction)(json.dumps(changed).encode())
        accepted = True
    except InvalidEvent:
        accepted = False
    assert validator(name).is_valid(changed) == accepted


def test_a_field_of_the_wrong_kind_is_refused_by_the_schema() -> None:
    for changes in ({"occurred_at": "2026-01-31"}, {"type": "search"}, {"item_id": ""}, {"quantity": 0}):
        assert not validator("clicks").is_valid({**VIEW, **changes})


def test_the_command_prints_one_schema_or_all() -> None:
    one = CliRunner().invoke(schema, ["clicks"])
    assert json.loads(one.output) == schemas()["clicks"]
    everything = CliRunner().invoke(schema, [])
    assert json.loads(everything.output) == schemas()


def test_the_command_writes_files(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    result = CliRunner().invoke(schema, ["--output", str(folder)])
    assert result.exit_code == 0
    written = {path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in folder.iterdir()}
    assert written == schemas()


def test_the_command_reports_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(schema, ["items", "--output", str(tmp_path / "file" / "sub")])
    assert result.exit_code == 1
    assert "required a folder to write to" in result.output


def test_the_command_lists_the_messages_for_an_unknown_one() -> None:
    result = CliRunner().invoke(schema, ["orders"])
    assert result.exit_code == 2
    assert "dead-letters" in result.output
