"""Security of the Kubernetes manifests: restricted pods, network policies, secrets only in Secrets."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

from streams.settings import SETTINGS
from tests.deployment.kustomize import K8S, OVERLAYS, build, container, ports, selects

SECRETS = [name for name, setting in SETTINGS.items() if setting.secret]
DASHBOARDS = K8S.parent / "monitoring" / "grafana" / "dashboards"
PROD = ["prod", "gpu"]
VERSION = tomllib.loads((K8S.parent / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_follow_the_restricted_standard(overlay: str) -> None:
    for pod in build(overlay).pods:
        context = pod["spec"]["securityContext"]
        assert {context[name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
        assert context["runAsNonRoot"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(pod)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False
        account = build(overlay).one("ServiceAccount", pod["spec"]["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", PROD)
def test_strimzis_containers_follow_the_restricted_standard(overlay: str) -> None:
    pool = build(overlay).one("KafkaNodePool", "dual-role")["spec"]["template"]
    operators = build(overlay).one("Kafka", "shop")["spec"]["entityOperator"]["template"]
    assert pool.keys() == {"initContainer", "kafkaContainer"}
    assert operators.keys() == {"topicOperatorContainer", "userOperatorContainer"}
    for template in (*pool.values(), *operators.values()):
        assert template["securityContext"] == {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_has_requests_and_a_memory_limit(overlay: str) -> None:
    for pod in build(overlay).pods:
        resources = container(pod)["resources"]
        assert resources["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in resources["limits"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_images_have_the_projects_version(overlay: str) -> None:
    tag = f"{VERSION}-gpu" if overlay == "gpu" else VERSION
    for pod in build(overlay).pods:
        assert container(pod)["image"].rpartition("/")[2] == f"intentstream:{tag}"


def test_the_page_builds_the_images_of_the_overlays() -> None:
    named = re.findall(r"(?:registry\.example\.com/)?intentstream:[\w.-]+", (K8S / "README.md").read_text())
    assert set(named) == {container(pod)["image"] for overlay in OVERLAYS for pod in build(overlay).pods}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_manifests_contain_no_secrets(overlay: str) -> None:
    assert build(overlay).all("Secret") == []
    for config in build(overlay).all("ConfigMap"):
        assert not [name for name in config["data"] if any(secret in name.lower() for secret in SECRETS)]
    for variable in container(build(overlay).worker)["env"]:
        if any(secret in variable["name"].lower() for secret in SECRETS):
            assert variable.keys() == {"name", "valueFrom"}


@pytest.mark.parametrize("overlay", PROD)
def test_network_policies_allow_only_named_traffic(overlay: str) -> None:
    denied = build(overlay).one("NetworkPolicy", "default-deny")["spec"]
    assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    worker, policies = build(overlay).worker["metadata"]["labels"], build(overlay).all("NetworkPolicy")
    own_policies = [policy["spec"] for policy in policies if selects(policy["spec"]["podSelector"], worker)]
    egress = {
        port["port"]: rule["to"]
        for policy in own_policies
        for rule in policy.get("egress", [])
        for port in rule["ports"]
    }
    (listener,) = build(overlay).one("Kafka", "shop")["spec"]["kafka"]["listeners"]
    assert egress.keys() == {53, listener["port"], ports(build(overlay).worker)["http"]}
    (broker,) = egress[listener["port"]]
    assert broker["podSelector"]["matchLabels"] == {"strimzi.io/cluster": "shop", "strimzi.io/kind": "Kafka"}
    rules = [rule for policy in own_policies for rule in policy.get("ingress", [])]
    ingress = {port["port"]: rule["from"] for rule in rules for port in rule["ports"]}
    assert ingress.keys() == ports(build(overlay).worker).keys()
    assert {tuple(peer) for peer in ingress["metrics"]} == {("namespaceSelector", "podSelector")}
    assert all("podSelector" in peer for peer in ingress["http"])


@pytest.mark.parametrize("overlay", PROD)
def test_the_pod_monitor_uses_the_job_of_the_rules(overlay: str) -> None:
    monitor = build(overlay).one("PodMonitor")["spec"]
    assert build(overlay).worker["metadata"]["labels"][monitor["jobLabel"]] == "intentstream"
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] == "metrics"
    assert endpoint["path"] == "/metrics"


@pytest.mark.parametrize("overlay", PROD)
def test_every_dashboard_is_included_and_small_enough_to_apply(overlay: str) -> None:
    found = [c for c in build(overlay).all("ConfigMap") if "grafana_dashboard" in c["metadata"].get("labels", {})]
    files = {name: text for config in found for name, text in config["data"].items()}
    committed = {path.name: json.loads(path.read_text()) for path in DASHBOARDS.glob("*.json")}
    assert {name: json.loads(text) for name, text in files.items()} == committed
    assert committed
    # Client-side `kubectl apply` keeps a copy in an annotation of at most 256 KiB.
    assert max(len(text.encode()) for text in files.values()) < 200_000
