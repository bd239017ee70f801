"""Kafka's topics as plain values. No other module uses aiokafka's admin client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from streams.errors import TopicError
from streams.kafka.clients import broker_errors, client_options
from streams.settings_groups import Kafka


class Admin:
    """Connection that creates and describes topics: `async with Admin.connected(kafka, "doing what") as admin`."""

    def __init__(self, client: AIOKafkaAdminClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def connected(cls, kafka: Kafka, doing: str) -> AsyncIterator[Admin]:
        """Connect. Errors of the connection and of the block name the action `doing`."""
        client = AIOKafkaAdminClient(**client_options(kafka))
        with broker_errors(kafka, doing):
            try:
                await client.start()
                yield cls(client)
            finally:
                await client.close()

    async def partition_counts(self) -> dict[str, int]:
        """Return the number of partitions of every topic."""
        # Describe all topics: naming one would create it on a broker that creates topics automatically.
        described = await self._client.describe_topics()
        return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}

    async def create(self, name: str, partitions: int, replicas: int, config: Mapping[str, str]) -> bool:
        """Create a topic. Return False if it exists by now. Raises TopicError if the broker refuses it."""
        topic = NewTopic(name, partitions, replicas, topic_configs=dict(config))
        response = await self._client.create_topics([topic])
        _, code, *message = response.topic_errors[0]
        error = for_code(code)
        # Another process may have created it since the caller looked, which is the same result.
        if code and error is not TopicAlreadyExistsError:
            raise TopicError(f"{name}: the broker refuses to create it: {error.__name__} {' '.join(map(str, message))}")
        return not code

    async def configs(self, keys: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
        """Return the given configuration keys of each topic, as far as the broker returns them."""
        topics = [
            ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(wanted)) for name, wanted in keys.items()
        ]
        try:
            responses = await self._client.describe_configs(topics)
        except KafkaError:
            # Some brokers do not support this request. The caller sees what is missing.
            return {}
        resources = [resource for response in responses for resource in response.resources]
        return {name: {key: value for key, value, *_ in entries} for code, _, _, name, entries in resources if not code}

    @property
    def client(self) -> AIOKafkaClient:
        """The client, for requests that aiokafka lacks."""
        return self._client._client

    async def leaders(self) -> dict[TopicPartition, int]:
        """Return the broker that leads each partition of every topic, without partitions that have none."""
        described = await self._client.describe_topics()
        return {
            TopicPartition(topic["topic"], each["partition"]): each["leader"]
            for topic in described
            for each in topic["partitions"]
            if each["leader"] >= 0
        }

    async def groups(self) -> list[str]:
        """Return the names of the consumer groups that this client may describe, in order. Raises KafkaError."""
        return sorted(name for name, *_ in await self._client.list_consumer_groups())

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return the committed offsets of a group. Raises KafkaError."""
        offsets = await self._client.list_consumer_group_offsets(group)
        return {partition: each.offset for partition, each in offsets.items() if each.offset >= 0}

    async def members(self, group: str) -> int:
        """Return the number of a group's members. Raises KafkaError."""
        (response,) = await self._client.describe_consumer_groups([group])
        ((code, _, _, _, _, members, *_),) = response.groups
        if code:
            raise for_code(code)(group)
        return len(members)


async def require_topics(kafka: Kafka, names: Collection[str]) -> dict[str, int]:
    """Return the partition count of each topic. Raises TopicError if one is missing."""
    async with Admin.connected(kafka, "looking for the topics") as admin:
        existing = await admin.partition_counts()
    if missing := [name for name in names if name not in existing]:
        raise TopicError(
            f"{', '.join(missing)}: no such topic at {kafka.bootstrap_servers}; `intentstream topics create` creates it"
        )
    return {name: existing[name] for name in names}
