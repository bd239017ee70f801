"""Validation of manifests with the schemas of Kubernetes and the operators' models.

These packages need seconds of CPU time to load: not at import, but in the process that validates something.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tests.deployment.kustomize import Manifest
from tests.integration.brokers import jars

STRIMZI = Path(__file__).parents[1] / "strimzi"
MODELS = {
    "ScaledObject": "cloudcoil.models.keda.v1alpha1",
    "TriggerAuthentication": "cloudcoil.models.keda.v1alpha1",
    "PodMonitor": "cloudcoil.models.prometheus_operator.v1",
    "PrometheusRule": "cloudcoil.models.prometheus_operator.v1",
}
"""The module of each custom resource's model."""


def validate(manifest: Manifest, version: str) -> None:
    """Require that a native resource is valid in this version of Kubernetes, without unknown fields."""
    import kubernetes_validate

    kubernetes_validate.validate(manifest, version, strict=True)


def round_trip(manifest: Manifest) -> Manifest:
    """Parse a resource of KEDA or the Prometheus operator and dump it again, which drops unknown fields.

    Raises pydantic's ValidationError if a value is invalid.
    """
    kind = manifest["kind"]
    model = getattr(import_module(MODELS[kind]), kind).model_validate(manifest)
    dumped: Manifest = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return dumped


def strimzi_errors(manifests: Sequence[Manifest]) -> list[str]:
    """Return the errors of Strimzi's model. Raises StreamsError without Java 17 and Maven."""
    command = ["java", "-cp", f"{jars(STRIMZI / 'pom.xml')}/*", str(STRIMZI / "Check.java")]
    checked = subprocess.run(command, input=json.dumps(manifests), capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stderr
    return checked.stdout.splitlines()
