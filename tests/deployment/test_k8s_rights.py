"""A worker on a real Kafka needs exactly the rights of its KafkaUser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from streams.contracts.messages import Search
from streams.contracts.serde import encode_json
from streams.kafka.producer import partition_of
from streams.settings import Settings, load_settings
from tests.conftest import BUNDLE, running_broker
from tests.deployment.kustomize import build
from tests.integration import behaviour
from tests.integration.brokers import PASSWORD, USER, KafkaBroker
from tests.integration.catalogue_items import catalogue, random_events
from tests.integration.shop_client import ShopClient
from tests.integration.topic_contents import read_all
from tests.integration.workers import WorkerProcess, until

pytestmark = pytest.mark.kafka

PRINCIPAL = f"User:{USER}"
AUTHORIZATION = re.compile(
    rf"Principal = {PRINCIPAL} is (\w+) operation = (\w+) from .* on resource = (\w+):LITERAL:(\S+) for request"
)
TRANSACTIONAL_ID = "TRANSACTIONALID"
Right = tuple[str, str, str]
"""Operation, kind of resource, name."""


class AuthorizingBroker(KafkaBroker):
    """A broker with an authorizer. Connections without a login have all rights."""

    def _properties(self) -> str:
        authorizer = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        return f"{super()._properties()}{authorizer}\nsuper.users=User:ANONYMOUS\n"

    def authorizations(self) -> dict[str, set[Right]]:
        """Return the allowed and the denied requests of USER."""
        found = AUTHORIZATION.findall((self._home / "kafka.log").read_text())
        rights = [(verdict, (operation, kind.upper(), name)) for verdict, operation, kind, name in found]
        return {which: {right for verdict, right in rights if verdict == which} for which in ("Allowed", "Denied")}


@pytest.fixture
def authorizing() -> Iterator[AuthorizingBroker]:
    node = AuthorizingBroker()
    for _ in running_broker(node):
        yield node


def granted(user: str = "intentstream") -> set[Right]:
    """Return the rights of a KafkaUser. The name of a transactional id is a prefix, all others are whole."""
    acls = build("prod").one("KafkaUser", user)["spec"]["authorization"]["acls"]
    prefixed = [acl["resource"]["type"] for acl in acls if "patternType" in acl["resource"]]
    assert prefixed == (["transactionalId"] if user == "intentstream" else [])
    rights = ((operation, acl["resource"]) for acl in acls for operation in acl["operations"])
    return {(_operation_name(operation), resource["type"].upper(), resource["name"]) for operation, resource in rights}


def _operation_name(operation: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()


def grant(bootstrap_servers: str, rights: set[Right]) -> None:
    bindings = [
        AclBinding(
            ResourceType["TRANSACTIONAL_ID" if kind == TRANSACTIONAL_ID else kind],
            name,
            ResourcePatternType.PREFIXED if kind == TRANSACTIONAL_ID else ResourcePatternType.LITERAL,
            PRINCIPAL,
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for operation, kind, name in rights
    ]
    client = AdminClient({"bootstrap.servers": bootstrap_servers})
    for done in client.create_acls(bindings).values():
        done.result(timeout=30)


def administrator(node: AuthorizingBroker) -> Settings:
    """Return settings with the topics of the manifests, and all rights."""
    given = {"bootstrap_servers": node.bootstrap_servers, "partitions": 2, "behaviour_interval_seconds": 0.3}
    return load_settings(given | {"session_timeout_seconds": 6, "model_path": BUNDLE}, env_file=None)


def logged_in(node: AuthorizingBroker) -> Settings:
    login = {
        "bootstrap_servers": node.secure_servers,
        "security_protocol": "SASL_SSL",
        "ssl_ca_file": node.ca_file,
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password": PASSWORD,
    }
    return administrator(node).replace(**login)


async def forget_in_a_wrong_partition(shop: ShopClient, user_id: bytes) -> None:
    """Ask to forget a shopper. The worker forwards the request to its partition, and publishes a receipt."""
    topics = shop.settings.topics
    wrong = (partition_of(user_id, topics.partitions) + 1) % topics.partitions
    await shop.publish(topics.privacy, user_id, None, wrong)

    async def is_done() -> bool:
        return bool(await read_all(shop.settings, topics.privacy_receipts))

    await until(is_done, "there is a receipt")


async def publish_in_wrong_partitions(shop: ShopClient) -> None:
    """Publish a click, a search and an item in other partitions than those of their keys."""
    topics = shop.settings.topics
    events = random_events("misplaced", 60)
    search, click = (next(each for each in events if isinstance(each, Search) is kind) for kind in (True, False))
    item = catalogue()[0]
    messages = [
        (topics.searches, search.user_id.encode(), encode_json(search)),
        (topics.clicks, click.user_id.encode(), encode_json(click)),
        (topics.items, item.item_id.encode(), encode_json(item)),
    ]
    for topic, key, value in messages:
        await shop.publish(topic, key, value, 1 - partition_of(key, shop.settings.topics.partitions))
    await shop.wait_for_lists([search, click])


async def test_without_the_right_to_forward_events_are_served_where_they_are(
    authorizing: AuthorizingBroker, tmp_path: Path
) -> None:
    """A former installation's user may not write to the input topics. Only the first message is refused."""
    topics = administrator(authorizing).topics
    inputs = {topics.clicks, topics.searches, topics.items}
    grant(authorizing.bootstrap_servers, {each for each in granted() if each[0] != "WRITE" or each[2] not in inputs})
    worker = WorkerProcess(logged_in(authorizing), tmp_path)
    try:
        async with ShopClient.connected(administrator(authorizing)) as shop:
            worker.start()
            await worker.wait_until_ready()
            clicks = [each for each in random_events("misplaced", 24) if not isinstance(each, Search)]
            wrong = 1 - partition_of(b"misplaced", shop.settings.topics.partitions)
            await shop.publish(topics.clicks, b"misplaced", encode_json(clicks[0]), wrong)
            await shop.wait_for_dead_letters(1)
            assert shop.dead_letters[0].reason == "wrong_partition"
            for event in clicks[1:3]:
                await shop.publish(topics.clicks, b"misplaced", encode_json(event), wrong)
            await shop.wait_for_lists(clicks[1:3])
            assert "the brokers refuse forwarded messages" in worker.log
            assert await worker.stop() == 0
    finally:
        worker.close()


async def test_a_worker_needs_exactly_the_rights_of_its_user(authorizing: AuthorizingBroker, tmp_path: Path) -> None:
    grant(authorizing.bootstrap_servers, granted())
    events = random_events("shopper", 12)
    # Profiles of the streams are published often, so that the worker does it before it stops.
    worker = WorkerProcess(logged_in(authorizing).replace(assets_interval_seconds=0.5), tmp_path)
    try:
        async with ShopClient.connected(administrator(authorizing)) as shop:
            worker.start()
            await worker.wait_until_ready()
            await shop.publish_items(catalogue())
            await worker.wait_for_items(len(catalogue()))
            for event in events:
                await shop.publish_and_wait(event)
            await publish_in_wrong_partitions(shop)
            await shop.publish(shop.settings.topics.clicks, b"shopper", b"no event")
            await shop.wait_for_dead_letters(1)
            await forget_in_a_wrong_partition(shop, b"shopper")
            await behaviour.wait_until_counted(shop.settings)
            assert await worker.stop() == 0
            # Without its data, the worker reads the changelogs.
            worker.delete_data()
            worker.start()
            await worker.wait_until_ready()
            await shop.publish_and_wait(random_events("other", 1)[0])
            assert await worker.stop() == 0
    finally:
        worker.close()
    authorizations = authorizing.authorizations()
    assert authorizations["Denied"] == set()
    # Read and Write include Describe.
    used = {right for right in authorizations["Allowed"] if right[0] != "DESCRIBE"}
    app_id = administrator(authorizing).kafka.app_id
    ids = {right for right in used if right[1] == TRANSACTIONAL_ID}
    assert ids == {("WRITE", TRANSACTIONAL_ID, f"{app_id}-{number}") for number in range(2)}
    assert (used - ids) | {("WRITE", TRANSACTIONAL_ID, f"{app_id}-")} == granted()


async def test_a_worker_without_the_right_to_producer_ids_serves_and_says_so(
    authorizing: AuthorizingBroker, tmp_path: Path
) -> None:
    grant(authorizing.bootstrap_servers, {right for right in granted() if right[1] != TRANSACTIONAL_ID})
    worker = WorkerProcess(logged_in(authorizing), tmp_path)
    try:
        async with ShopClient.connected(administrator(authorizing)) as shop:
            worker.start()
            await worker.wait_until_ready()
            await shop.publish_and_wait(random_events("shopper", 1)[0])
            assert await worker.stop() == 0
    finally:
        worker.close()
    assert worker.log.count("the brokers give no producer ids for transactional ids") == 1


async def test_the_learning_loop_needs_exactly_the_rights_of_its_user(
    authorizing: AuthorizingBroker, tmp_path: Path
) -> None:
    pytest.importorskip("scipy", reason="needs the extra `train`")
    from tests.integration.test_learn import learning

    rights = granted("intentstream-learner")
    grant(authorizing.bootstrap_servers, rights)
    event = random_events("shopper", 12)[0]
    async with ShopClient.connected(administrator(authorizing)) as shop:
        await shop.publish_event(event)
        async with learning(logged_in(authorizing), tmp_path) as loop:
            await until(lambda: len(loop.gatherer) == 1, "the event is read")
    used = authorizing.authorizations()
    assert used["Denied"] == set()
    # Kafka checks the right to describe with every request about a topic, and Read includes it.
    assert {right for right in used["Allowed"] if right[0] != "DESCRIBE"} == rights
