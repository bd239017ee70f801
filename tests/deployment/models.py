"""Validation of custom resources with the operators' models."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cloudcoil.models.keda.v1alpha1 import ScaledObject, TriggerAuthentication
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule

from tests.deployment.kustomize import Manifest
from tests.integration.brokers import jars

STRIMZI = Path(__file__).parents[1] / "strimzi"
MODELS = {model.__name__: model for model in (ScaledObject, TriggerAuthentication, PodMonitor, PrometheusRule)}


def round_trip(manifest: Manifest) -> Manifest:
    """Parse a resource of KEDA or the Prometheus operator and dump it again, which drops unknown fields.

    Raises pydantic's ValidationError if a value is invalid.
    """
    model = MODELS[manifest["kind"]].model_validate(manifest)
    dumped: Manifest = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return dumped


def strimzi_errors(manifests: Sequence[Manifest]) -> list[str]:
    """Return the errors of Strimzi's model. Raises StreamsError without Java 17 and Maven."""
    command = ["java", "-cp", f"{jars(STRIMZI / 'pom.xml')}/*", str(STRIMZI / "Check.java")]
    checked = subprocess.run(command, input=json.dumps(manifests), capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stderr
    return checked.stdout.splitlines()
