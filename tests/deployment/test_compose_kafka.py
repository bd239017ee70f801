"""Kafka in docker-compose.yml: one node, reachable by every client, of the tested version."""

from __future__ import annotations

import re

from streams.settings_groups import PREFIX
from tests.deployment.compose import OURS, ROOT, SERVICES

KAFKA = SERVICES["kafka"]
POM = (ROOT / "tests" / "kafka" / "pom.xml").read_text()


def test_kafka_creates_no_topics_and_needs_one_node() -> None:
    kafka = KAFKA["environment"]
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    copies = {name: value for name, value in kafka.items() if name.endswith(("REPLICATION_FACTOR", "MIN_ISR"))}
    assert len(copies) == 5
    assert set(copies.values()) == {"1"}


def test_kafka_has_the_tested_version() -> None:
    tested = re.search(r"<artifactId>kafka_\S+</artifactId>\s*<version>(.+)</version>", POM)
    assert tested is not None
    assert KAFKA["image"] == f"apache/kafka:{tested[1]}"


def test_the_advertised_addresses_match_the_listeners() -> None:
    kafka = KAFKA["environment"]
    (broker,) = {service["environment"][f"{PREFIX}BOOTSTRAP_SERVERS"] for service in OURS.values()}
    advertised = dict(listener.split("://") for listener in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listens = dict(listener.split("://") for listener in kafka["KAFKA_LISTENERS"].split(","))
    assert advertised[kafka["KAFKA_INTER_BROKER_LISTENER_NAME"]] == broker
    assert listens["INTERNAL"] == f":{broker.partition(':')[2]}"
    (port,) = KAFKA["ports"]
    assert advertised["HOST"] == f"localhost:{port['published']}"
    assert listens["HOST"] == f":{port['target']}"
    assert listens["CONTROLLER"].startswith("localhost:"), "only the broker itself connects to the controller"
