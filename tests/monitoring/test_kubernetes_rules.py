"""The rules for Kubernetes equal those for Compose."""

from __future__ import annotations

import json

import yaml

from monitoring.kubernetes import BASE, MANIFEST, prometheus_rule
from monitoring.runbooks import RUNBOOKS
from tests.monitoring.rules import groups


def test_the_committed_manifest_is_up_to_date() -> None:
    assert MANIFEST.read_text() == prometheus_rule()


def test_the_manifest_has_the_same_groups_with_absolute_runbook_addresses() -> None:
    manifest = yaml.safe_load(prometheus_rule())
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert manifest["spec"] == {"groups": json.loads(json.dumps(groups()).replace(BASE, RUNBOOKS))}


def test_the_runbook_address_is_a_parameter() -> None:
    text = prometheus_rule("https://example.org/runbooks")
    assert "runbook_url: 'https://example.org/runbooks/lag.md#intentstreamlaggrowing'" in text
    assert RUNBOOKS not in text
