"""The HTTP service on Kubernetes: port, Service, tokens, owners, network policies, Ingress, scaling."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from streams.metrics import Metrics
from tests.deployment.kustomize import K8S, POD, Manifest, Overlay, build, container, ports, selects
from tests.deployment.models import validate
from tests.deployment.test_k8s_kafka import triggers
from tests.deployment.test_k8s_schemas import supported

PROD = ["prod", "gpu"]
CLIENT = {"intentstream/http-client": "true"}


def labels(overlay: str) -> dict[str, str]:
    found: dict[str, str] = build(overlay).worker["metadata"]["labels"]
    return found


@pytest.fixture
def public(tmp_path: Path) -> Overlay:
    """The overlay prod with the example of an Ingress."""
    up = os.path.relpath(K8S, tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(
        f"namespace: intentstream\nresources: [{up}/overlays/prod]\ncomponents: [{up}/components/ingress]\n"
    )
    return build(str(tmp_path))


@pytest.mark.parametrize("overlay", PROD)
def test_the_service_leads_to_the_port_of_ready_workers(overlay: str) -> None:
    settings, service = build(overlay).settings.service, build(overlay).one("Service", "intentstream-http")["spec"]
    assert (settings.host, settings.port) == ("0.0.0.0", ports(build(overlay).worker)["http"])
    (port,) = service["ports"]
    assert port["targetPort"] == port["name"] == "http"
    assert selects({"matchLabels": service["selector"]}, labels(overlay))
    assert "publishNotReadyAddresses" not in service
    assert "clusterIP" not in service


def test_without_the_component_the_service_is_off() -> None:
    assert build("dev").settings.service.port == 0
    assert ports(build("dev").worker).keys() == {"metrics"}
    assert [service["metadata"]["name"] for service in build("dev").all("Service")] == ["intentstream"]


@pytest.mark.parametrize("overlay", PROD)
def test_other_workers_reach_a_worker_by_the_name_of_its_pod(overlay: str) -> None:
    settings, stateful = build(overlay).settings.service, build(overlay).one("StatefulSet")
    assert settings.url == f"http://{POD}.{stateful['spec']['serviceName']}:{settings.port}"
    headless = build(overlay).one("Service")["spec"]
    # A worker that recovers is not ready, but owns its partitions.
    assert (headless["clusterIP"], headless["publishNotReadyAddresses"]) == ("None", True)
    # A variable is replaced only in those behind it.
    names = [variable["name"] for variable in container(build(overlay).worker)["env"]]
    assert names.index("POD_NAME") < names.index("INTENTSTREAM_HTTP_ADVERTISED_URL")


@pytest.mark.parametrize("overlay", PROD)
def test_the_tokens_come_from_the_secret_that_the_page_creates(overlay: str) -> None:
    (tokens,) = (v for v in container(build(overlay).worker)["env"] if v["name"] == "INTENTSTREAM_HTTP_TOKENS")
    secret = tokens["valueFrom"]["secretKeyRef"]
    created = re.search(
        r"kubectl create secret generic (\S+) +-n intentstream --from-literal=(\w+)=", (K8S / "README.md").read_text()
    )
    assert created is not None
    assert secret == {"name": created[1], "key": created[2]}


@pytest.mark.parametrize("overlay", PROD)
def test_clients_and_workers_reach_the_service(overlay: str) -> None:
    policy = build(overlay).one("NetworkPolicy", "intentstream-http")["spec"]
    assert selects(policy["podSelector"], labels(overlay))
    (rule,) = policy["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": "http"}]
    assert [peer["podSelector"]["matchLabels"] for peer in rule["from"]] == [
        policy["podSelector"]["matchLabels"], CLIENT, CLIENT,
    ]  # fmt: skip
    assert [peer.get("namespaceSelector") for peer in rule["from"]] == [None, None, {"matchLabels": CLIENT}]
    (hop,) = policy["egress"]
    assert hop["ports"] == [{"protocol": "TCP", "port": build(overlay).settings.service.port}]
    assert [selects(peer["podSelector"], labels(overlay)) for peer in hop["to"]] == [True]


def test_the_ingress_has_tls_and_leads_to_the_service(public: Overlay) -> None:
    ingress = public.one("Ingress", "intentstream-http")
    for version in supported():
        validate(ingress, version)
    (rule,), (tls,) = ingress["spec"]["rules"], ingress["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]]
    (path,) = rule["http"]["paths"]
    service = public.one("Service", path["backend"]["service"]["name"])
    assert path["backend"]["service"]["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
    policy = public.one("NetworkPolicy", "intentstream-ingress")
    validate(policy, supported()[0])
    (allowed,) = policy["spec"]["ingress"]
    assert allowed["ports"] == [{"protocol": "TCP", "port": "http"}]


@pytest.mark.parametrize("overlay", PROD)
def test_keda_scales_by_requests_too(overlay: str) -> None:
    (trigger,) = triggers(overlay, "prometheus")
    name, matchers = re.fullmatch(r"sum\(rate\((\w+)\{(.*)\}\[2m\]\)\)", trigger["metadata"]["query"]).groups()  # type: ignore[union-attr]
    assert name in {sample.name for family in Metrics().registry.collect() for sample in family.samples} | {
        f"{family.name}_total" for family in Metrics().registry.collect() if family.type == "counter"
    }
    namespace, job = re.fullmatch(r'namespace="(\w+)",job="(\w+)"', matchers).groups()  # type: ignore[union-attr]
    assert namespace == namespace_of(build(overlay).one("StatefulSet"))
    assert job == labels(overlay)[build(overlay).one("PodMonitor")["spec"]["jobLabel"]]


def namespace_of(manifest: Manifest) -> str:
    return str(manifest["metadata"]["namespace"])
