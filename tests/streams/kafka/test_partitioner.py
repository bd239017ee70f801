"""Kafka's default partitioner, against the one of aiokafka and the hashes in Kafka's own tests."""

from __future__ import annotations

import numpy as np
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.producer import murmur2, partition_of

pytestmark = pytest.mark.kernel
HASHES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""Signed hashes of the test `UtilsTest.testMurmur2` in Apache Kafka's Java client."""


@pytest.mark.parametrize(("key", "expected"), HASHES.items())
def test_the_hash_is_that_of_the_java_client(key: bytes, expected: int) -> None:
    assert int(murmur2(np.frombuffer(bytearray(key), dtype=np.uint8))) == expected % 2**32


@given(st.binary(max_size=200), st.integers(1, 300))
def test_the_partition_is_that_of_the_python_client(key: bytes, partitions: int) -> None:
    every = range(partitions)
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)
