"""Requests that aiokafka lacks: sizes of logs, and the newest timestamp of partitions.

DescribeLogDirs needs the right Describe on the cluster. ListOffsets by the greatest timestamp needs Kafka 3.0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NoError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

GREATEST_TIMESTAMP = -3
ANY_REPLICA, READ_COMMITTED, ANY_EPOCH = -1, 1, -1


class _LogDirsResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 35
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "log_dirs",
            Array(
                ("error_code", Int16),
                ("log_dir", String("utf-8")),
                (
                    "topics",
                    Array(
                        ("name", String("utf-8")),
                        (
                            "partitions",
                            Array(("partition", Int32), ("size", Int64), ("offset_lag", Int64), ("is_future", Boolean)),
                        ),
                    ),
                ),
            ),
        ),
    )


class _LogDirsRequest_v1(RequestStruct):  # type: ignore[misc]  # noqa: N801 - as aiokafka names them
    API_KEY = 35
    API_VERSION = 1
    RESPONSE_TYPE = _LogDirsResponse
    SCHEMA = Schema(("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))))


class _LogDirsRequest(Request[_LogDirsRequest_v1]):  # type: ignore[misc]
    API_KEY = 35

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._partitions = partitions

    def build(self, request_struct_class: type[_LogDirsRequest_v1]) -> Any:
        return request_struct_class([(name, list(range(count))) for name, count in self._partitions.items()])


class _OffsetsResponse(Response):  # type: ignore[misc]
    API_KEY = 2
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("timestamp", Int64),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _OffsetsRequest_v7(RequestStruct):  # type: ignore[misc]  # noqa: N801
    API_KEY = 2
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _OffsetsResponse
    SCHEMA = Schema(
        ("replica_id", Int32),
        ("isolation_level", Int8),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("leader_epoch", Int32),
                        ("timestamp", Int64),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _NewestRequest(Request[_OffsetsRequest_v7]):  # type: ignore[misc]
    API_KEY = 2

    def __init__(self, partitions: Collection[TopicPartition]) -> None:
        self._partitions = partitions

    def build(self, request_struct_class: type[_OffsetsRequest_v7]) -> Any:
        of_topic: defaultdict[str, list[Any]] = defaultdict(list)
        for topic, partition in self._partitions:
            of_topic[topic].append((partition, ANY_EPOCH, GREATEST_TIMESTAMP, {}))
        topics: list[Any] = [(topic, partitions, {}) for topic, partitions in of_topic.items()]
        return request_struct_class(ANY_REPLICA, READ_COMMITTED, topics, {})


async def log_sizes(client: AIOKafkaClient, partitions: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes of one replica of each topic: of each partition, the largest replica.

    Raises KafkaError if a broker refuses or fails, NotImplementedError if it is too old.
    """
    sizes: defaultdict[tuple[str, int], int] = defaultdict(int)
    for broker in client.cluster.brokers():
        response = await client.send(broker.nodeId, _LogDirsRequest(partitions))
        for error_code, _, topics in response.log_dirs:
            if (error := for_code(error_code)) is not NoError:
                raise error(f"describing the logs of broker {broker.nodeId}")
            for name, of_topic in topics:
                # A future log is a copy that is being moved to another disk.
                for partition, size, _, is_future in of_topic:
                    sizes[name, partition] = max(sizes[name, partition], 0 if is_future else size)
    # Without the right, brokers answer with an empty list and no error.
    if not sizes and partitions:
        raise PermissionError("the brokers name no log: the right Describe on the cluster is missing")
    of_topics: defaultdict[str, int] = defaultdict(int)
    for (name, _), size in sizes.items():
        of_topics[name] += size
    return dict(of_topics)


async def newest_timestamps(client: AIOKafkaClient, leaders: Mapping[TopicPartition, int]) -> dict[str, int]:
    """Return the greatest timestamp of each topic that has messages, in milliseconds.

    `leaders` has the broker that leads each partition. Raises KafkaError if a broker fails, NotImplementedError if it
    is older than Kafka 3.0.
    """
    of_leader: defaultdict[int, list[TopicPartition]] = defaultdict(list)
    for partition, leader in leaders.items():
        of_leader[leader].append(partition)
    newest: dict[str, int] = {}
    for leader, led in of_leader.items():
        response = await client.send(leader, _NewestRequest(led))
        for name, of_topic, _ in response.topics:
            for _, error_code, timestamp, *_ in of_topic:
                if (error := for_code(error_code)) is not NoError:
                    raise error(f"asking for the newest message of {name}")
                if timestamp >= 0:
                    newest[name] = max(newest.get(name, 0), timestamp)
    return newest
