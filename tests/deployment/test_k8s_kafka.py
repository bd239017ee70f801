"""Strimzi's topics and users and KEDA's triggers agree with the code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.kafka.topics import declare
from tests.deployment.kustomize import K8S, Manifest, build, container

PROD = ["prod", "gpu"]
CAPACITY = 1_300
"""Events a second that one worker processes from a backlog: benchmarks/results.md."""


@pytest.mark.parametrize("overlay", PROD)
def test_the_topics_equal_those_of_the_code(overlay: str) -> None:
    settings = build(overlay).settings
    found = {topic["metadata"]["name"]: topic["spec"] for topic in build(overlay).all("KafkaTopic")}
    assert found == {
        topic.name: {
            "partitions": topic.partitions,
            "replicas": settings.topics.replication_factor,
            "config": {**topic.required, **topic.advised},
        }
        for topic in declare(settings)
    }


@pytest.mark.parametrize("overlay", PROD)
def test_kafka_has_enough_nodes_for_its_replicas_and_creates_no_topics(overlay: str) -> None:
    settings = build(overlay).settings
    kafka, pool = build(overlay).one("Kafka", "shop"), build(overlay).one("KafkaNodePool", "dual-role")
    config = kafka["spec"]["kafka"]["config"]
    assert settings.topics.replication_factor == config["default.replication.factor"] == pool["spec"]["replicas"] == 3
    # One node may fail: acknowledged records are on at least two nodes.
    assert config["min.insync.replicas"] == settings.topics.replication_factor - 1
    assert config["auto.create.topics.enable"] is False


@pytest.mark.parametrize("overlay", PROD)
def test_strimzi_resources_belong_to_the_one_kafka(overlay: str) -> None:
    owned = [m for kind in ("KafkaNodePool", "KafkaTopic", "KafkaUser") for m in build(overlay).all(kind)]
    assert {manifest["metadata"]["labels"]["strimzi.io/cluster"] for manifest in owned} == {"shop"}
    assert [kafka["metadata"]["name"] for kafka in build(overlay).all("Kafka")] == ["shop"]


@pytest.mark.parametrize("overlay", PROD)
def test_the_worker_connects_to_the_listener_as_an_existing_user(overlay: str) -> None:
    settings, kafka = build(overlay).settings, build(overlay).one("Kafka", "shop")
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    assert settings.kafka.bootstrap_servers == f"shop-kafka-bootstrap:{listener['port']}"
    assert (settings.kafka.security_protocol, listener["tls"]) == ("SASL_SSL", True)
    assert (settings.kafka.sasl_mechanism or "").lower() == listener["authentication"]["type"]
    user = build(overlay).one("KafkaUser", settings.kafka.sasl_username or "")
    assert user["spec"]["authentication"]["type"] == listener["authentication"]["type"]
    # Strimzi names a user's Secret as the user, and that of the authority after the cluster.
    (password,) = (v for v in container(build(overlay).worker)["env"] if v["name"].endswith("SASL_PASSWORD"))
    assert password["valueFrom"]["secretKeyRef"] == {"name": user["metadata"]["name"], "key": "password"}
    secrets = [v["secret"]["secretName"] for v in build(overlay).worker["spec"]["volumes"] if "secret" in v]
    assert secrets == ["shop-cluster-ca-cert"]


@pytest.mark.parametrize("overlay", PROD)
def test_users_have_least_privilege(overlay: str) -> None:
    settings = build(overlay).settings
    topics = {topic.name for topic in declare(settings)}
    for user in build(overlay).all("KafkaUser"):
        granted = rights(user)
        assert {name for kind, name in granted if kind == "topic"} <= topics
        assert set().union(*granted.values()) <= {"Describe", "DescribeConfigs", "Read", "Write"}
    assert set().union(*rights(build(overlay).one("KafkaUser", "intentstream-keda")).values()) == {"Describe"}
    worker = rights(build(overlay).one("KafkaUser"))
    assert worker["group", settings.kafka.app_id] == {"Read"}
    assert worker["transactionalId", f"{settings.kafka.app_id}-"] == {"Write"}
    written = {name for (kind, name), ops in worker.items() if kind == "topic" and "Write" in ops}
    assert written == topics - {settings.topics.models}


@pytest.mark.parametrize("overlay", PROD)
def test_keda_scales_by_the_groups_lag_up_to_the_number_of_partitions(overlay: str) -> None:
    settings, scaled = build(overlay).settings, build(overlay).one("ScaledObject")["spec"]
    stateful = build(overlay).one("StatefulSet")
    assert scaled["scaleTargetRef"] == {
        "apiVersion": stateful["apiVersion"], "kind": stateful["kind"], "name": stateful["metadata"]["name"],
        "envSourceContainerName": container(build(overlay).worker)["name"],
    }  # fmt: skip
    assert scaled["minReplicaCount"] < scaled["maxReplicaCount"] == settings.topics.partitions
    metadata = [trigger["metadata"] for trigger in triggers(overlay, "kafka")]
    read = [{name: read_from(overlay, each, name) for name in each if name.endswith("FromEnv")} for each in metadata]
    common = {
        "bootstrapServersFromEnv": settings.kafka.bootstrap_servers,
        "consumerGroupFromEnv": settings.kafka.app_id,
    }
    assert read == [common | {"topicFromEnv": topic} for topic in (settings.topics.clicks, settings.topics.searches)]
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    # The longest window that Kubernetes allows.
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 3600


@pytest.mark.parametrize("overlay", PROD)
def test_the_lag_threshold_exceeds_the_lag_of_a_worker_that_keeps_up(overlay: str) -> None:
    settings = build(overlay).settings
    waiting = CAPACITY * settings.state.commit_interval_seconds + settings.latency.max_in_flight
    assert triggers(overlay, "kafka")
    for trigger in triggers(overlay, "kafka"):
        assert int(trigger["metadata"]["lagThreshold"]) > waiting


@pytest.mark.parametrize("overlay", PROD)
def test_keda_connects_as_its_own_user(overlay: str) -> None:
    login = build(overlay).one("TriggerAuthentication", "intentstream-keda")
    spec, config = login["spec"], build(overlay).one("ConfigMap", "intentstream-keda")
    names = {trigger.get("authenticationRef", {}).get("name") for trigger in triggers(overlay, "kafka")}
    assert names == {login["metadata"]["name"]}
    given = {ref["parameter"]: config["data"][ref["key"]] for ref in spec["configMapTargetRef"]}
    assert {ref["name"] for ref in spec["configMapTargetRef"]} == {config["metadata"]["name"]}
    user = build(overlay).one("KafkaUser", given["username"])
    assert given == {"sasl": "scram_sha512", "tls": "enable", "username": user["metadata"]["name"]}
    secrets = {ref["parameter"]: (ref["name"], ref["key"]) for ref in spec["secretTargetRef"]}
    assert secrets == {"password": (given["username"], "password"), "ca": ("shop-cluster-ca-cert", "ca.crt")}


def test_an_external_kafka_needs_the_components_topics_login_and_keda(tmp_path: Path) -> None:
    up = os.path.relpath(K8S, tmp_path.resolve())
    components = "".join(f"  - {up}/components/{name}\n" for name in ("topics", "login", "keda"))
    (tmp_path / "kustomization.yaml").write_text(
        f"namespace: intentstream\nresources: [{up}/base]\ncomponents:\n{components}"
    )
    overlay = build(str(tmp_path))
    assert overlay.all("Kafka") == []
    assert len(overlay.pods) == 2
    for pod in overlay.pods:
        (password,) = (v for v in container(pod)["env"] if v["name"].endswith("SASL_PASSWORD"))
        assert password["valueFrom"]["secretKeyRef"]["name"] == overlay.settings.kafka.sasl_username
        assert container(pod)["envFrom"][0]["configMapRef"]["name"] == overlay.one("ConfigMap")["metadata"]["name"]


def rights(user: Manifest) -> dict[tuple[str, str], set[str]]:
    acls = user["spec"]["authorization"]["acls"]
    return {(acl["resource"]["type"], acl["resource"]["name"]): set(acl["operations"]) for acl in acls}


def triggers(overlay: str, kind: str) -> list[Manifest]:
    return [t for t in build(overlay).one("ScaledObject")["spec"]["triggers"] if t["type"] == kind]


def read_from(overlay: str, metadata: Manifest, name: str) -> str:
    return build(overlay).environment[metadata[name]]
