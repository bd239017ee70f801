"""Each alert has a chapter in the runbooks, and each chapter has an alert."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.settings import SETTINGS
from streams.settings_groups import PREFIX
from tests.monitoring.rules import ROOT, alerts
from tests.monitoring.worker_metrics import WORKER_METRICS

RUNBOOKS = ROOT / "docs" / "runbooks"
PAGES = sorted(RUNBOOKS.glob("*.md"))
HEADING = re.compile(r"^## (Intentstream\w+)$", re.MULTILINE)


@pytest.mark.parametrize("name", alerts())
def test_the_runbook_address_of_an_alert_is_its_chapter(name: str) -> None:
    address = alerts()[name]["annotations"]["runbook_url"]
    match = re.fullmatch(r"\{\{ \$externalLabels\.runbooks \}\}/([\w-]+\.md)#(\w+)", address)
    assert match, address
    # A heading's anchor is its text in lower case.
    assert match[2] == name.lower()
    assert name in HEADING.findall((RUNBOOKS / match[1]).read_text())


def test_each_alert_has_one_chapter() -> None:
    chapters = [name for page in PAGES for name in HEADING.findall(page.read_text())]
    assert sorted(chapters) == sorted(alerts())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_metrics_and_settings_on_a_page_exist(page: Path) -> None:
    text = page.read_text()
    metrics = WORKER_METRICS.keys() | {re.sub("_(bucket|count|sum)$", "", name) for name in WORKER_METRICS}
    assert set(re.findall(r"\bintentstream_\w+", text)) <= metrics
    assert {name.lower() for name in re.findall(rf"\b{PREFIX}(\w+)", text)} <= SETTINGS.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_name_the_broker_and_the_file_with_the_login(page: Path) -> None:
    text = page.read_text()
    for tool, options in re.findall(r"\b(kafka-[\w-]+\.sh|kcat) (-[^`\n]*)", text):
        wanted = "-F kcat.conf " if tool == "kcat" else "--bootstrap-server BROKER --command-config admin.properties "
        assert options.startswith(wanted)
    assert len(re.findall(r"\bkafka-[\w-]+\.sh\b|\bkcat\b(?!\.)", text)) == len(re.findall(r"(?:\.sh|\bkcat) -", text))


def test_the_index_lists_every_alert_with_its_severity() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\([\w-]+\.md#\w+\) \| (\w+) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE
    )
    assert sorted(rows) == sorted((name, rule["labels"]["severity"]) for name, rule in alerts().items())
