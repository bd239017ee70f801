"""Validation of custom resources by the operators' own models."""

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


def as_understood(manifest: Manifest) -> Manifest:
    """Read a resource of KEDA or of the Prometheus operator and write it again: what the model does not know is lost.

    Raises pydantic's ValidationError where a value does not fit.
    """
    model = MODELS[manifest["kind"]].model_validate(manifest)
    understood: Manifest = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return understood


def strimzi_complaints(manifests: Sequence[Manifest]) -> list[str]:
    """Say what does not fit Strimzi's model; raises StreamsError without Java 17 and Maven."""
    command = ["java", "-cp", f"{jars(STRIMZI / 'pom.xml')}/*", str(STRIMZI / "Check.java")]
    checked = subprocess.run(command, input=json.dumps(manifests), capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stderr
    return checked.stdout.splitlines()
