from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from streams.errors import ConfigurationError
from streams.settings import SETTINGS, Settings, as_text, load_settings, origins, unknown_variables
from streams.settings_groups import PREFIX
from streams.settings_lists import Retrieval

ROOT = Path(__file__).parents[2]
COMPLETE_SASL = {
    "security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "p",
}  # fmt: skip


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.variable, raising=False)


def load(**overrides: object) -> Settings:
    return load_settings(overrides, env_file=None)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTSTREAM_LIST_SIZE", "7")
    monkeypatch.setenv("INTENTSTREAM_SOURCES", "query, trending")
    monkeypatch.setenv("INTENTSTREAM_SSL_CA_FILE", "")
    settings = load()
    assert settings.retrieval.list_size == 7
    assert settings.retrieval.sources == ("query", "trending")
    assert settings.kafka.ssl_ca_file is None


def test_setting_names_are_unique_across_groups() -> None:
    fields = [len(type(group).model_fields) for _, group in load()]
    assert sum(fields) == len(SETTINGS)


def test_a_lower_case_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("intentstream_list_size", "7")
    assert load().retrieval.list_size == 7


def test_overrides_precede_the_environment_and_the_environment_precedes_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "env"
    file.write_text("INTENTSTREAM_LIST_SIZE=5\nINTENTSTREAM_PARTITIONS=5\nINTENTSTREAM_APP_ID=file\nOTHER=1\n")
    monkeypatch.setenv("INTENTSTREAM_LIST_SIZE", "6")
    monkeypatch.setenv("INTENTSTREAM_PARTITIONS", "6")
    settings = load_settings({"list_size": 7}, env_file=file)
    assert (settings.retrieval.list_size, settings.topics.partitions, settings.kafka.app_id) == (7, 6, "file")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().retrieval.list_size = 3
    with pytest.raises(ValidationError, match="frozen"):
        load().retrieval = Retrieval.model_validate({})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("LIST_SIZE", "many", "(Items in a recommendation): required a whole number from 1 to 1,000, got 'many'"),
        ("LIST_SIZE", "0", "required a whole number from 1 to 1,000, got '0'"),
        ("DIVERSITY", "2", "required a number from 0 to 1, got '2'"),
        ("EXACT_SEARCH_LIMIT", "-1", "required a whole number of at least 0, got '-1'"),
        ("SOURCES", "query,magic", "trending, or several separated by commas, got 'magic'"),
        ("BOOTSTRAP_SERVERS", "kafka", "required HOST:PORT, or several separated by commas, got 'kafka'"),
        ("BOOTSTRAP_SERVERS", "a:1,b:70000", "required HOST:PORT, or several separated by commas, got 'a:1,b:70000'"),
        ("METRICS_PORT", "tcp://10.0.0.1:9100", "required a whole number from 0 to 65,535, got 'tcp://10.0.0.1:9100'"),
        ("SHORT_TERM_HALF_LIFE_MINUTES", "0", "required a number above 0, at most 1,000,000, got '0'"),
        ("EXECUTION_PROVIDERS", ",", "required names such as CPUExecutionProvider, separated by commas, got ','"),
        ("EXECUTION_PROVIDERS", "CUDA", "required names such as CPUExecutionProvider, separated by commas, got 'CUDA'"),
        ("WEIGHT_VIEW", "nan", "required a number from 0 to 100, got 'nan'"),
        ("APP_ID", "my shop", "required 1 to 200 letters, digits, '.', '_' or '-', got 'my shop'"),
        ("CLICKS_TOPIC", "..", "required a topic name: with INTENTSTREAM_TOPIC_PREFIX, 1 to 200 letters, digits, "),
        ("TOPIC_PREFIX", "a/", "required at most 150 letters, digits, '.', '_' or '-', got 'a/'"),
        ("LOG_LEVEL", "loud", "required DEBUG, INFO, WARNING or ERROR, got 'loud'"),
        ("LOG_FORMAT", "xml", "required text or json, got 'xml'"),
        ("SECURITY_PROTOCOL", "TLS", "required PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, got 'TLS'"),
        ("SASL_MECHANISM", "GSSAPI", "required PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, got 'GSSAPI'"),
    ],
)
def test_an_invalid_value_is_an_error_with_the_variable_and_the_requirement(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, text: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError) as caught:
        load()
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{PREFIX}{name} ({SETTINGS[name.lower()].description}): required ")
    assert text in line


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("log_level", "debug", "DEBUG"),
        ("log_format", "JSON", "json"),
        ("security_protocol", "ssl", "SSL"),
        ("sources", " query , next ", "query,next"),
    ],
)
def test_choices_ignore_case_and_spacing(name: str, value: str, expected: str) -> None:
    assert as_text(SETTINGS[name].of(load(**{name: value}))) == expected


def test_all_invalid_values_are_reported_together() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(list_size=0, log_level="LOUD", clicks_topic="items", searches_topic="items", sasl_username="u")
    sasl, clicks, searches, size, level = str(caught.value).splitlines()
    assert sasl.startswith("INTENTSTREAM_SASL_USERNAME needs ")
    assert clicks == "INTENTSTREAM_CLICKS_TOPIC and INTENTSTREAM_ITEMS_TOPIC are the same topic, 'items'"
    assert searches == "INTENTSTREAM_ITEMS_TOPIC and INTENTSTREAM_SEARCHES_TOPIC are the same topic, 'items'"
    assert size.startswith("INTENTSTREAM_LIST_SIZE ")
    assert level.startswith("INTENTSTREAM_LOG_LEVEL ")


def test_an_unknown_override_is_an_error() -> None:
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
def test_inconsistent_settings_are_an_error(given: Mapping[str, object], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        load_settings(given, env_file=None)


def test_the_topic_prefix_applies_to_topics_only() -> None:
    plain, settings = load(items_topic="products"), load(items_topic="products", topic_prefix="shop-1.")
    for name in SETTINGS:
        value, changed = SETTINGS[name].of(plain), SETTINGS[name].of(settings)
        if name.endswith("_topic"):
            assert changed == f"shop-1.{value}"
        elif name != "topic_prefix":
            assert changed == value
    names = ("clicks", "searches", "products", "item-pairs", "privacy")
    assert settings.topics.consumed == tuple(f"shop-1.{name}" for name in names)


def test_an_overlong_prefixed_topic_is_reported_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(topic_prefix="p" * 150, clicks_topic="c" * 51)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("INTENTSTREAM_CLICKS_TOPIC ")


def test_settings_round_trip_through_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"topic_prefix": "a.", "clicks_topic": "c", "sources": "query,next", "data_dir": "/tmp/x", "list_size": 3}
    settings = load(**COMPLETE_SASL, **given)
    environment = settings.environment()
    assert environment["INTENTSTREAM_SASL_PASSWORD"] == "p"
    assert environment["INTENTSTREAM_CLICKS_TOPIC"] == "c"
    assert "INTENTSTREAM_PARTITIONS" not in environment, "settings that are not given keep their defaults"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load() == settings


def test_replace_validates_and_keeps_other_values(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(topic_prefix="a.", clicks_topic="c", list_size=3)
    monkeypatch.setenv("INTENTSTREAM_PARTITIONS", "9")
    replaced = settings.replace(topic_prefix="b.", log_level="error")
    assert (replaced.topics.clicks, replaced.topics.items) == ("b.c", "b.items")
    assert (replaced.retrieval.list_size, replaced.ops.log_level) == (3, "ERROR")
    assert replaced.topics.partitions == 8, "the environment is not read again"
    assert settings.topics.clicks == "a.c"
    with pytest.raises(ConfigurationError, match=r"INTENTSTREAM_LIST_SIZE .*got 0"):
        settings.replace(list_size=0)
    with pytest.raises(ConfigurationError, match="unknown settings: lits_size"):
        settings.replace(lits_size=3)


def test_an_unknown_variable_is_logged_with_the_most_similar_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "env"
    file.write_text("INTENTSTREAM_KLICKS_TOPIC=c\nOTHER=1\n")
    monkeypatch.setenv("INTENTSTREAM_LIST_SZIE", "3")
    monkeypatch.setenv("INTENTSTREAM_ZZZ", "1")
    monkeypatch.setenv("INTENTSTREAM_ZZZZ", "")
    monkeypatch.setenv("INTENTSTREAM_TEST_KAFKA_JARS", "/jars")
    load_settings(env_file=file)
    assert [record.getMessage() for record in caplog.records] == [
        "INTENTSTREAM_KLICKS_TOPIC in the .env file is no setting and has no effect; "
        "did you mean INTENTSTREAM_CLICKS_TOPIC?",
        "INTENTSTREAM_LIST_SZIE in the environment is no setting and has no effect; "
        "did you mean INTENTSTREAM_LIST_SIZE?",
        "INTENTSTREAM_ZZZ in the environment is no setting and has no effect",
    ]


def test_warnings_go_to_the_given_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTSTREAM_BATCH_LINGER_MS", "3")
    warnings: list[str] = []
    load_settings(env_file=None, warn=warnings.append)
    assert warnings == unknown_variables(env_file=None)
    assert len(warnings) == 1


def test_the_origin_of_a_variable_is_the_first_place_that_sets_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "env"
    file.write_text("INTENTSTREAM_LIST_SIZE=5\nINTENTSTREAM_PARTITIONS=5\nINTENTSTREAM_APP_ID=\n")
    monkeypatch.setenv("INTENTSTREAM_LIST_SIZE", "6")
    assert origins(file) == {"list_size": "environment", "partitions": ".env file"}


def test_secrets_are_not_in_the_representation() -> None:
    settings = load(**COMPLETE_SASL | {"sasl_password": "hunter2"})
    assert settings.kafka.sasl_password == SecretStr("hunter2")
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("value", ["hunter2", ["hunter2"]])
def test_an_error_does_not_contain_the_secret(value: object) -> None:
    with pytest.raises(ConfigurationError, match="INTENTSTREAM_SASL_PASSWORD") as caught:
        load(sasl_password=value)
    assert "hunter2" not in str(caught.value)
    # Pydantic's error contains the input, so it must not be chained.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_the_example_file_has_every_variable_with_its_default() -> None:
    lines = re.findall(r"^#(INTENTSTREAM_\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert lines == [(setting.variable, as_text(setting.default)) for setting in SETTINGS.values()]


def test_the_example_file_has_the_groups_as_headings() -> None:
    text = (ROOT / ".env.example").read_text().partition("# --- Compose")[0]
    sections = re.findall(r"^# --- (\w+) ---$((?:\n.+)*)", text, re.MULTILINE)
    assert {name: re.findall(rf"^#{PREFIX}(\w+)=", body, re.MULTILINE) for name, body in sections} == grouped()


def test_the_uncommented_example_file_gives_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text(re.sub("^#(INTENTSTREAM_)", r"\1", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    assert load_settings(env_file=file) == load()


def test_the_documentation_has_every_variable_with_its_default_and_description() -> None:
    sections = (ROOT / "docs" / "configuration.md").read_text().split("\n## ")[1:]
    row = re.compile(r"^\| `(INTENTSTREAM_\w+)` \| (?:`(.*?)`)? ?\| (.*?) \| (?:.*? )?\|$", re.MULTILINE)
    tables = {section.partition("\n")[0].lower(): row.findall(section) for section in sections}
    documented = [(group, *columns) for group, rows in tables.items() for columns in rows]
    assert documented == [
        (setting.group, setting.variable, as_text(setting.default), setting.description)
        for setting in SETTINGS.values()
    ]


def grouped() -> dict[str, list[str]]:
    """Return the variables of each group, without their prefix."""
    return {
        group: [setting.name.upper() for setting in SETTINGS.values() if setting.group == group]
        for group in Settings.model_fields
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [(" a:1 , b:2", "a:1,b:2"), ("[::1]:9092", "[::1]:9092"), ("10.0.0.1:9092", "10.0.0.1:9092")],
)
def test_broker_addresses_may_have_spaces_and_ipv6(given: str, expected: str) -> None:
    assert load_settings({"bootstrap_servers": given}, env_file=None).kafka.bootstrap_servers == expected


@pytest.mark.parametrize("given", ["::1:9092", "[::1]", "[host]:9092", "a:1,,b:2"])
def test_a_wrong_broker_address_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="required HOST:PORT"):
        load_settings({"bootstrap_servers": given}, env_file=None)
