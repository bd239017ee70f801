"""`intentstream config`: values, origins, secrets and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from streams.cli import cli
from streams.settings import SETTINGS, Settings

LOGIN = {
    "INTENTSTREAM_SECURITY_PROTOCOL": "SASL_SSL",
    "INTENTSTREAM_SASL_MECHANISM": "PLAIN",
    "INTENTSTREAM_SASL_USERNAME": "shop",
    "INTENTSTREAM_SASL_PASSWORD": "hunter2",
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.chdir(tmp_path)


def config(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(cli, ["config", *arguments])


def rows(*arguments: str, **environment: str) -> dict[str, dict[str, Any]]:
    result = config("show", "--json", *arguments, **environment)
    assert result.exit_code == 0, result.output
    return {row["variable"]: row for row in json.loads(result.stdout)}


def test_every_setting_is_shown_under_its_group() -> None:
    result = config("show")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    shown = [line[0] for line in lines[1:]]
    expected = []
    for group in Settings.model_fields:
        expected += [group, *(setting.variable for setting in SETTINGS.values() if setting.group == group)]
    assert shown == expected
    assert ["INTENTSTREAM_LIST_SIZE", "20", "default"] in lines


def test_each_value_has_its_origin() -> None:
    Path(".env").write_text("INTENTSTREAM_LIST_SIZE=5\nINTENTSTREAM_PARTITIONS=5\n")
    shown = rows("--changed", INTENTSTREAM_LIST_SIZE="6", INTENTSTREAM_SOURCES="query")
    assert {name: (row["value"], row["origin"]) for name, row in shown.items()} == {
        "INTENTSTREAM_PARTITIONS": (5, ".env file"),
        "INTENTSTREAM_LIST_SIZE": (6, "environment"),
        "INTENTSTREAM_SOURCES": (["query"], "environment"),
    }
    assert shown["INTENTSTREAM_LIST_SIZE"]["default"] == 20
    assert len(rows()) == len(SETTINGS)


def test_a_value_equal_to_the_default_is_not_changed() -> None:
    assert rows("--changed", INTENTSTREAM_LIST_SIZE="20") == {}
    assert rows(INTENTSTREAM_LIST_SIZE="20")["INTENTSTREAM_LIST_SIZE"]["origin"] == "environment"


def test_topics_are_shown_with_the_prefix() -> None:
    row = rows(INTENTSTREAM_TOPIC_PREFIX="b.")["INTENTSTREAM_CLICKS_TOPIC"]
    assert (row["value"], row["origin"]) == ("b.clicks", "default, with prefix")


@pytest.mark.parametrize("form", [[], ["--json"], ["--changed"]])
def test_secrets_are_hidden(form: list[str]) -> None:
    result = config("show", *form, **LOGIN)
    assert result.exit_code == 0, result.output
    assert "(hidden)" in result.output
    assert "hunter2" not in result.output


def test_a_wrong_value_fails_both_commands() -> None:
    for command in ("show", "check"):
        result = config(command, INTENTSTREAM_LIST_SIZE="many", INTENTSTREAM_LOG_LEVEL="loud")
        assert result.exit_code == 2
        assert [line.split()[0] for line in result.stderr.removeprefix("Error: ").splitlines()] == [
            "INTENTSTREAM_LIST_SIZE",
            "INTENTSTREAM_LOG_LEVEL",
        ]


def test_the_check_fails_for_an_unknown_variable(caplog: pytest.LogCaptureFixture) -> None:
    assert config("check").exit_code == 0
    assert caplog.text == ""
    assert config("check", INTENTSTREAM_LISTSIZE="3").exit_code == 1
    assert caplog.text.count("did you mean INTENTSTREAM_LIST_SIZE?") == 1
