"""Strimzi's topics and users and KEDA's triggers agree with the code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.kafka.topics import declare
from tests.deployment.kustomize import K8S, Manifest, built, container

PROD = ["prod", "gpu"]
CARRIED = 1_300
"""Events a second, as many as one worker was measured to process from a backlog: benchmarks/results.md."""


@pytest.mark.parametrize("overlay", PROD)
def test_the_topics_are_those_that_the_code_declares(overlay: str) -> None:
    settings = built(overlay).settings
    found = {topic["metadata"]["name"]: topic["spec"] for topic in built(overlay).all("KafkaTopic")}
    assert found == {
        topic.name: {
            "partitions": topic.partitions,
            "replicas": settings.topics.replication_factor,
            "config": {**topic.required, **topic.advised},
        }
        for topic in declare(settings)
    }


@pytest.mark.parametrize("overlay", PROD)
def test_kafka_has_the_nodes_for_its_replicas_and_makes_no_topic_by_itself(overlay: str) -> None:
    settings = built(overlay).settings
    kafka, pool = built(overlay).one("Kafka", "shop"), built(overlay).one("KafkaNodePool", "dual-role")
    config = kafka["spec"]["kafka"]["config"]
    assert settings.topics.replication_factor == config["default.replication.factor"] == pool["spec"]["replicas"] == 3
    # One node may fail, and what is acknowledged is on two.
    assert config["min.insync.replicas"] == settings.topics.replication_factor - 1
    assert config["auto.create.topics.enable"] is False


@pytest.mark.parametrize("overlay", PROD)
def test_everything_of_strimzi_belongs_to_the_one_kafka(overlay: str) -> None:
    owned = [m for kind in ("KafkaNodePool", "KafkaTopic", "KafkaUser") for m in built(overlay).all(kind)]
    assert {manifest["metadata"]["labels"]["strimzi.io/cluster"] for manifest in owned} == {"shop"}
    assert [kafka["metadata"]["name"] for kafka in built(overlay).all("Kafka")] == ["shop"]


@pytest.mark.parametrize("overlay", PROD)
def test_the_worker_logs_in_where_kafka_listens_as_a_user_that_there_is(overlay: str) -> None:
    settings, kafka = built(overlay).settings, built(overlay).one("Kafka", "shop")
    (listener,) = kafka["spec"]["kafka"]["listeners"]
    assert settings.kafka.bootstrap_servers == f"shop-kafka-bootstrap:{listener['port']}"
    assert (settings.kafka.security_protocol, listener["tls"]) == ("SASL_SSL", True)
    assert (settings.kafka.sasl_mechanism or "").lower() == listener["authentication"]["type"]
    user = built(overlay).one("KafkaUser", settings.kafka.sasl_username or "")
    assert user["spec"]["authentication"]["type"] == listener["authentication"]["type"]
    # Strimzi names a user's Secret as the user, and that of the authority after the cluster.
    (password,) = (v for v in container(built(overlay).worker)["env"] if v["name"].endswith("SASL_PASSWORD"))
    assert password["valueFrom"]["secretKeyRef"] == {"name": user["metadata"]["name"], "key": "password"}
    secrets = [v["secret"]["secretName"] for v in built(overlay).worker["spec"]["volumes"] if "secret" in v]
    assert secrets == ["shop-cluster-ca-cert"]


@pytest.mark.parametrize("overlay", PROD)
def test_no_user_may_do_more_than_it_does(overlay: str) -> None:
    settings = built(overlay).settings
    topics = {topic.name for topic in declare(settings)}
    for user in built(overlay).all("KafkaUser"):
        granted = rights(user)
        assert {name for kind, name in granted if kind == "topic"} <= topics
        assert set().union(*granted.values()) <= {"Describe", "DescribeConfigs", "Read", "Write"}
    assert set().union(*rights(built(overlay).one("KafkaUser", "intentstream-keda")).values()) == {"Describe"}
    worker = rights(built(overlay).one("KafkaUser"))
    assert worker["group", settings.kafka.app_id] == {"Read"}
    only_read = {settings.topics.clicks, settings.topics.searches, settings.topics.items, settings.topics.models}
    assert {name for (_, name), ops in worker.items() if "Write" in ops} == topics - only_read


@pytest.mark.parametrize("overlay", PROD)
def test_keda_scales_up_to_the_partitions_by_the_lag_of_the_workers_group(overlay: str) -> None:
    settings, scaled = built(overlay).settings, built(overlay).one("ScaledObject")["spec"]
    stateful = built(overlay).one("StatefulSet")
    assert scaled["scaleTargetRef"] == {
        "apiVersion": stateful["apiVersion"], "kind": stateful["kind"], "name": stateful["metadata"]["name"],
        "envSourceContainerName": container(built(overlay).worker)["name"],
    }  # fmt: skip
    assert scaled["minReplicaCount"] < scaled["maxReplicaCount"] == settings.topics.partitions
    asked = [trigger["metadata"] for trigger in triggers(overlay, "kafka")]
    read = [{name: read_from(overlay, asks, name) for name in asks if name.endswith("FromEnv")} for asks in asked]
    common = {
        "bootstrapServersFromEnv": settings.kafka.bootstrap_servers,
        "consumerGroupFromEnv": settings.kafka.app_id,
    }
    assert read == [common | {"topicFromEnv": topic} for topic in (settings.topics.clicks, settings.topics.searches)]
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    # The longest that Kubernetes takes.
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 3600


@pytest.mark.parametrize("overlay", PROD)
def test_a_worker_that_keeps_up_is_no_reason_for_another(overlay: str) -> None:
    settings = built(overlay).settings
    waiting = CARRIED * settings.state.commit_interval_seconds + settings.latency.max_in_flight
    assert triggers(overlay, "kafka")
    for trigger in triggers(overlay, "kafka"):
        assert int(trigger["metadata"]["lagThreshold"]) > waiting


@pytest.mark.parametrize("overlay", PROD)
def test_keda_logs_in_as_its_own_user(overlay: str) -> None:
    login = built(overlay).one("TriggerAuthentication", "intentstream-keda")
    spec, config = login["spec"], built(overlay).one("ConfigMap", "intentstream-keda")
    names = {trigger.get("authenticationRef", {}).get("name") for trigger in triggers(overlay, "kafka")}
    assert names == {login["metadata"]["name"]}
    given = {ref["parameter"]: config["data"][ref["key"]] for ref in spec["configMapTargetRef"]}
    assert {ref["name"] for ref in spec["configMapTargetRef"]} == {config["metadata"]["name"]}
    user = built(overlay).one("KafkaUser", given["username"])
    assert given == {"sasl": "scram_sha512", "tls": "enable", "username": user["metadata"]["name"]}
    secrets = {ref["parameter"]: (ref["name"], ref["key"]) for ref in spec["secretTargetRef"]}
    assert secrets == {"password": (given["username"], "password"), "ca": ("shop-cluster-ca-cert", "ca.crt")}


def test_a_kafka_that_somebody_else_runs_takes_other_components(tmp_path: Path) -> None:
    up = os.path.relpath(K8S, tmp_path.resolve())
    chosen = "".join(f"  - {up}/components/{name}\n" for name in ("topics", "login", "keda"))
    (tmp_path / "kustomization.yaml").write_text(
        f"namespace: intentstream\nresources: [{up}/base]\ncomponents:\n{chosen}"
    )
    overlay = built(str(tmp_path))
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
    return [t for t in built(overlay).one("ScaledObject")["spec"]["triggers"] if t["type"] == kind]


def read_from(overlay: str, asks: Manifest, name: str) -> str:
    return built(overlay).environment[asks[name]]
