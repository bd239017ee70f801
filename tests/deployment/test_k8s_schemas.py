from __future__ import annotations

import copy
import re

import kubernetes_validate
import pytest

from streams.errors import StreamsError
from tests.deployment.kustomize import K8S, OVERLAYS, WORKER, Manifest, built
from tests.deployment.models import MODELS, as_understood, strimzi_complaints
from tests.requirements import fail_or_skip

CUSTOM = re.compile(r"(kafka\.strimzi\.io|keda\.sh|monitoring\.coreos\.com)/")
STRIMZI_API = "kafka.strimzi.io/v1"


def supported() -> list[str]:
    """The lowest and the highest version of Kubernetes, as the README states them."""
    found = re.search(r"Kubernetes (1\.\d+) to (1\.\d+)", (K8S / "README.md").read_text())
    assert found is not None
    return list(found.groups())


def custom(overlay: str) -> list[Manifest]:
    return [manifest for manifest in built(overlay).manifests if CUSTOM.match(manifest["apiVersion"])]


@pytest.mark.parametrize("version", supported())
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_takes_every_manifest(overlay: str, version: str) -> None:
    native = [manifest for manifest in built(overlay).manifests if not CUSTOM.match(manifest["apiVersion"])]
    assert WORKER in {manifest["metadata"]["name"] for manifest in native if manifest["kind"] == "StatefulSet"}
    for manifest in native:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_kubernetes_would_refuse_a_field_that_it_does_not_know() -> None:
    wrong = copy.deepcopy(built("prod").one("StatefulSet"))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        kubernetes_validate.validate(wrong, supported()[0], strict=True)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("overlay", ["prod", "gpu"])
def test_keda_and_the_prometheus_operator_know_every_field(overlay: str, kind: str) -> None:
    manifests = built(overlay).all(kind)
    assert manifests
    for manifest in manifests:
        assert as_understood(manifest) == manifest


@pytest.mark.kafka
def test_strimzi_knows_every_field_and_value() -> None:
    manifests = [manifest for manifest in custom("prod") if manifest["apiVersion"] == STRIMZI_API]
    assert {manifest["kind"] for manifest in manifests} == {"Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"}
    wrong = copy.deepcopy(built("prod").one("Kafka", "shop"))
    wrong["spec"]["kafka"]["listeners"][0]["tsl"] = True
    try:
        (complaint,) = strimzi_complaints([*manifests, wrong])
    except StreamsError as error:
        fail_or_skip(str(error))
    assert 'Unrecognized field "tsl"' in complaint


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_custom_resource_has_a_model(overlay: str) -> None:
    assert all(manifest["kind"] in MODELS or manifest["apiVersion"] == STRIMZI_API for manifest in custom(overlay))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_lowest_version_is_what_pods_are_held_to(overlay: str) -> None:
    (namespace,) = built(overlay).all("Namespace")
    labels = {name.rpartition("/")[2]: value for name, value in namespace["metadata"]["labels"].items()}
    assert labels == {
        **dict.fromkeys(("enforce", "audit", "warn"), "restricted"),
        **dict.fromkeys(("enforce-version", "audit-version", "warn-version"), f"v{supported()[0]}"),
    }
    assert {m["metadata"].get("namespace", namespace["metadata"]["name"]) for m in built(overlay).manifests} == {
        namespace["metadata"]["name"]
    }
