from __future__ import annotations

import copy
import re

import pytest

from streams.errors import StreamsError
from tests.deployment.kustomize import K8S, OVERLAYS, WORKER, Manifest, build
from tests.deployment.models import MODELS, round_trip, strimzi_errors, validate
from tests.requirements import fail_or_skip

CUSTOM = re.compile(r"(kafka\.strimzi\.io|keda\.sh|monitoring\.coreos\.com)/")
STRIMZI_API = "kafka.strimzi.io/v1"


def supported() -> list[str]:
    """Return the lowest and the highest supported version of Kubernetes, from the README."""
    found = re.search(r"Kubernetes (1\.\d+) to (1\.\d+)", (K8S / "README.md").read_text())
    assert found is not None
    return list(found.groups())


def custom(overlay: str) -> list[Manifest]:
    return [manifest for manifest in build(overlay).manifests if CUSTOM.match(manifest["apiVersion"])]


@pytest.mark.parametrize("version", supported())
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_native_manifest_is_valid(overlay: str, version: str) -> None:
    native = [manifest for manifest in build(overlay).manifests if not CUSTOM.match(manifest["apiVersion"])]
    assert WORKER in {manifest["metadata"]["name"] for manifest in native if manifest["kind"] == "StatefulSet"}
    for manifest in native:
        validate(manifest, version)


def test_validation_refuses_an_unknown_field() -> None:
    from kubernetes_validate import ValidationError

    wrong = copy.deepcopy(build("prod").one("StatefulSet"))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(ValidationError, match="livenesProbe"):
        validate(wrong, supported()[0])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("overlay", ["prod", "gpu"])
def test_every_field_of_keda_and_the_prometheus_operator_is_known(overlay: str, kind: str) -> None:
    manifests = build(overlay).all(kind)
    assert manifests
    for manifest in manifests:
        assert round_trip(manifest) == manifest


@pytest.mark.kafka
def test_every_field_of_strimzi_is_valid() -> None:
    manifests = [manifest for manifest in custom("prod") if manifest["apiVersion"] == STRIMZI_API]
    assert {manifest["kind"] for manifest in manifests} == {"Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"}
    wrong = copy.deepcopy(build("prod").one("Kafka", "shop"))
    wrong["spec"]["kafka"]["listeners"][0]["tsl"] = True
    try:
        (error_text,) = strimzi_errors([*manifests, wrong])
    except StreamsError as error:
        fail_or_skip(str(error))
    assert 'Unrecognized field "tsl"' in error_text


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_custom_resource_is_validated_by_a_model(overlay: str) -> None:
    assert all(manifest["kind"] in MODELS or manifest["apiVersion"] == STRIMZI_API for manifest in custom(overlay))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_security_standard_is_of_the_lowest_version(overlay: str) -> None:
    (namespace,) = build(overlay).all("Namespace")
    labels = {name.rpartition("/")[2]: value for name, value in namespace["metadata"]["labels"].items()}
    assert labels == {
        **dict.fromkeys(("enforce", "audit", "warn"), "restricted"),
        **dict.fromkeys(("enforce-version", "audit-version", "warn-version"), f"v{supported()[0]}"),
    }
    assert {m["metadata"].get("namespace", namespace["metadata"]["name"]) for m in build(overlay).manifests} == {
        namespace["metadata"]["name"]
    }
