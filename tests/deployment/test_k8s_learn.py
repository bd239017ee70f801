"""The learning loop on Kubernetes: restricted, one process, with read rights in Kafka and the shared model folder."""

from __future__ import annotations

import os

import pytest

from streams.settings import load_settings
from streams.settings_groups import PREFIX
from tests.deployment.kustomize import K8S, Manifest, Overlay, build, container, ports, selects
from tests.deployment.models import validate
from tests.deployment.test_k8s_schemas import supported
from tests.deployment.test_k8s_security import VERSION

LEARNER = "intentstream-learner"


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Overlay:
    """The overlay prod with the component."""
    folder = tmp_path_factory.mktemp("overlay")
    up = os.path.relpath(K8S, folder.resolve())
    (folder / "kustomization.yaml").write_text(
        f"namespace: intentstream\nresources: [{up}/overlays/prod]\ncomponents: [{up}/components/learn]\n"
    )
    return build(str(folder))


@pytest.fixture(scope="module")
def pod(overlay: Overlay) -> Manifest:
    template: Manifest = overlay.one("Deployment", LEARNER)["spec"]["template"]
    return template


def mounts(pod: Manifest) -> dict[str, Manifest]:
    return {mount["mountPath"]: mount for mount in container(pod)["volumeMounts"]}


def test_the_manifests_are_valid(overlay: Overlay) -> None:
    own = [overlay.one("Deployment", LEARNER), overlay.one("NetworkPolicy", f"{LEARNER}-scrape"),
           *overlay.all("PersistentVolumeClaim")]  # fmt: skip
    for version in supported():
        for manifest in own:
            validate(manifest, version)


def test_the_pod_is_restricted_like_a_worker(overlay: Overlay, pod: Manifest) -> None:
    worker = overlay.worker["spec"]
    for name in ("securityContext", "automountServiceAccountToken", "enableServiceLinks", "serviceAccountName"):
        assert pod["spec"][name] == worker[name]
    assert container(pod)["securityContext"] == container(overlay.worker)["securityContext"]
    assert container(pod)["resources"]["requests"]["memory"] == container(pod)["resources"]["limits"]["memory"]


def test_there_is_one_process_at_a_time(overlay: Overlay) -> None:
    spec = overlay.one("Deployment", LEARNER)["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert container(spec["template"])["command"] == ["intentstream", "learn"]
    assert container(spec["template"])["image"] == f"registry.example.com/intentstream-learn:{VERSION}"


def test_its_settings_are_valid_and_match_its_volumes(overlay: Overlay, pod: Manifest) -> None:
    own = {each["name"]: each.get("value", "secret") for each in container(pod)["env"]}
    given = {**overlay.one("ConfigMap")["data"], **own}
    settings = load_settings({name.removeprefix(PREFIX).lower(): value for name, value in given.items()}, env_file=None)
    assert {str(settings.model.directory), str(settings.state.data_dir)} <= mounts(pod).keys()
    assert settings.http.port == ports(pod)["metrics"]
    assert settings.kafka.sasl_username == LEARNER


def test_workers_read_the_models_that_the_loop_writes(overlay: Overlay, pod: Manifest) -> None:
    folder = str(overlay.settings.model.directory)
    assert "readOnly" not in mounts(pod)[folder]
    assert mounts(overlay.worker)[folder]["readOnly"] is True
    claims = [
        {volume["name"]: volume.get("persistentVolumeClaim", {}).get("claimName") for volume in each["spec"]["volumes"]}
        for each in (pod, overlay.worker)
    ]
    assert claims[0]["models"] == claims[1]["models"] == "intentstream-models"


def test_it_only_reads_from_kafka(overlay: Overlay) -> None:
    acls = overlay.one("KafkaUser", LEARNER)["spec"]["authorization"]["acls"]
    topics = overlay.settings.topics
    assert {(acl["resource"]["type"], acl["resource"]["name"]) for acl in acls} == {
        ("topic", name)
        for name in (
            topics.clicks, topics.searches, topics.recommendations, topics.item_vectors, topics.models, topics.privacy,
        )
    }  # fmt: skip
    assert {operation for acl in acls for operation in acl["operations"]} == {"Read"}


def test_no_selector_of_the_workers_selects_it(overlay: Overlay, pod: Manifest) -> None:
    labels = pod["metadata"]["labels"]
    assert not selects({"matchLabels": overlay.one("Service")["spec"]["selector"]}, labels)
    assert not selects(overlay.one("PodDisruptionBudget")["spec"]["selector"], labels)
    assert not selects(overlay.one("PodMonitor")["spec"]["selector"], labels)
    assert selects(overlay.one("PodMonitor", LEARNER)["spec"]["selector"], labels)
    assert selects(overlay.one("NetworkPolicy", "intentstream-kafka")["spec"]["podSelector"], labels)
