from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from streams.broker_settings import PREFIX
from streams.errors import ConfigurationError
from streams.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
NAMES = [PREFIX + name.upper() for name in Settings.model_fields]
COMPLETE_SASL = {
    "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "p",
}  # fmt: skip


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def load(**overrides: object) -> Settings:
    return load_settings(overrides, env_file=None)


def default_text(name: str) -> str:
    """The default as one would write it in the environment."""
    default = Settings.model_fields[name].default
    if default is None:
        return ""
    return ",".join(default) if isinstance(default, tuple) else str(default)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTSTREAM_LIST_SIZE", "7")
    monkeypatch.setenv("INTENTSTREAM_SOURCES", "query, trending")
    monkeypatch.setenv("INTENTSTREAM_SSL_CA_FILE", "")
    settings = load()
    assert settings.list_size == 7
    assert settings.sources == ("query", "trending")
    assert settings.ssl_ca_file is None


def test_an_override_goes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "env"
    file.write_text("INTENTSTREAM_LIST_SIZE=5\nINTENTSTREAM_PARTITIONS=5\nINTENTSTREAM_APP_ID=file\nOTHER=1\n")
    monkeypatch.setenv("INTENTSTREAM_LIST_SIZE", "6")
    monkeypatch.setenv("INTENTSTREAM_PARTITIONS", "6")
    settings = load_settings({"list_size": 7}, env_file=file)
    assert (settings.list_size, settings.partitions, settings.app_id) == (7, 6, "file")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().list_size = 3


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("LIST_SIZE", "many", r"INTENTSTREAM_LIST_SIZE \(Items in a .*\): .*valid integer.*, got 'many'"),
        ("LIST_SIZE", "0", r"INTENTSTREAM_LIST_SIZE .*greater than or equal to 1, got '0'"),
        ("SOURCES", "query,magic", r"INTENTSTREAM_SOURCES .*'trending', got 'magic'"),
        ("BOOTSTRAP_SERVERS", "kafka", r"INTENTSTREAM_BOOTSTRAP_SERVERS \(.*HOST:PORT.*\).*, got 'kafka'"),
        ("METRICS_PORT", "tcp://10.0.0.1:9100", r"INTENTSTREAM_METRICS_PORT .*integer.*, got 'tcp://"),
        ("SHORT_TERM_HALF_LIFE_MINUTES", "0", r"INTENTSTREAM_SHORT_TERM_HALF_LIFE_MINUTES .*greater than 0"),
        ("EXECUTION_PROVIDERS", ",", r"INTENTSTREAM_EXECUTION_PROVIDERS .*at least 1 item"),
        ("WEIGHT_VIEW", "nan", r"INTENTSTREAM_WEIGHT_VIEW "),
    ],
)
def test_a_wrong_value_names_the_variable_what_was_required_and_what_came(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError, match=text):
        load()


def test_every_wrong_value_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"INTENTSTREAM_LIST_SIZE.*; INTENTSTREAM_LOG_LEVEL"):
        load(list_size=0, log_level="LOUD")


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="unknown settings: lits_size"):
        load(lits_size=3)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"security_protocol": "SASL_SSL"},
            r"SASL_SSL needs .*_MECHANISM and .*_USERNAME and .*_PASSWORD",
        ),
        ({"sasl_username": "u"}, r"SASL_USERNAME needs INTENTSTREAM_SECURITY_PROTOCOL=SASL_SSL"),
        ({"ssl_ca_file": "ca.pem"}, r"SSL_CA_FILE needs INTENTSTREAM_SECURITY_PROTOCOL=SSL or SASL_SSL"),
        ({"security_protocol": "SSL", "ssl_key_file": "k"}, r"SSL_KEY_FILE needs INTENTSTREAM_SSL_CERT_FILE"),
        ({"clicks_topic": "searches"}, r"CLICKS_TOPIC and .*SEARCHES_TOPIC are the same topic, 'searches'"),
    ],
)
def test_what_does_not_fit_together_is_told_in_a_sentence(given: Mapping[str, object], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load_settings(given, env_file=None)


def test_secrets_show_nowhere() -> None:
    settings = load(**COMPLETE_SASL | {"sasl_password": "hunter2"})
    assert settings.sasl_password == SecretStr("hunter2")
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("value", ["hunter2", ["hunter2"]])
def test_an_error_about_a_secret_does_not_tell_it(value: object) -> None:
    with pytest.raises(ConfigurationError, match="INTENTSTREAM_SASL_PASSWORD") as caught:
        load(sasl_password=value)
    assert "hunter2" not in str(caught.value)
    # pydantic's own error, which carries the input, does not travel along.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_example_file_holds_every_variable_with_its_default() -> None:
    lines = re.findall(r"^#(INTENTSTREAM_\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert lines == [(PREFIX + name.upper(), default_text(name)) for name in Settings.model_fields]


def test_the_example_file_works_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text(re.sub("^#(INTENTSTREAM_)", r"\1", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert load_settings(env_file=file) == load()


def test_the_documentation_holds_every_variable_with_its_default_and_meaning() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(INTENTSTREAM_\w+)` \| (?:`(.*?)`)? ?\| (.*) \|$", page, re.MULTILINE)
    assert rows == [
        (PREFIX + name.upper(), default_text(name), field.description) for name, field in Settings.model_fields.items()
    ]
