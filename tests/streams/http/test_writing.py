"""Events and items over HTTP: the contract and the partitions of Kafka, all entries or none."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx
import pytest
from aiokafka.errors import KafkaTimeoutError

from streams.contracts.messages import PRODUCER_HEADER
from streams.contracts.serde import encode_json
from streams.kafka.producer import partition_of
from tests.streams.fakes import Delivery
from tests.streams.http.service import HttpHarness, http_service
from tests.streams.http.test_recommendations import problem
from tests.streams.shoppers import act, item_of, search

Served = tuple[HttpHarness, httpx.AsyncClient]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with http_service() as served:
        yield served


def sent(harness: HttpHarness) -> list[tuple[str, int, bytes]]:
    return [(each.topic, each.partition, key) for each in harness.producer.deliveries for key, _ in each.messages]


def array(*values: Any) -> bytes:
    return b"[" + b",".join(map(encode_json, values)) + b"]"


async def test_events_go_to_the_partition_of_their_shopper(served: Served) -> None:
    harness, client = served
    given = [act("view", "i1", user_id="ann"), search("tea", user_id="bob"), act("purchase", "i2", user_id="cem")]
    answer = await client.post("/v1/events", content=array(*given), headers=JSON)
    assert answer.status_code == 202, answer.text
    topics = ["clicks", "searches", "clicks"]
    partitions = [partition_of(user, 2) for user in (b"ann", b"bob", b"cem")]
    assert sent(harness) == list(zip(topics, partitions, (b"ann", b"bob", b"cem"), strict=True))
    accepted = answer.json()["accepted"]
    assert [each["id"] for each in accepted] == [event.event_id for event in given]
    assert [(each["topic"], each["partition"]) for each in accepted] == list(zip(topics, partitions, strict=True))
    assert harness.producer.deliveries[0].messages[0][1] == encode_json(given[0])


async def test_one_entry_needs_no_array(served: Served) -> None:
    harness, client = served
    answer = await client.post("/v1/items", content=encode_json(item_of("i1")), headers=JSON)
    assert answer.status_code == 202
    assert sent(harness) == [("items", partition_of(b"i1", 2), b"i1")]
    assert answer.json() == {
        "accepted": [{"id": "i1", "topic": "items", "partition": partition_of(b"i1", 2), "offset": 0}]
    }


async def test_a_compressed_body_is_read(served: Served) -> None:
    harness, client = served
    body = gzip.compress(array(*(item_of(f"i{n}") for n in range(1000))), mtime=0)
    answer = await client.post("/v1/items", content=body, headers={**JSON, "Content-Encoding": "gzip"})
    assert answer.status_code == 202, answer.text
    assert len(sent(harness)) == 1000


async def test_one_wrong_entry_refuses_all_with_the_reasons_of_each(served: Served) -> None:
    harness, client = served
    body = [json.loads(encode_json(act("view", "i1"))), {"type": "view"}, 7, {"type": "search", "query": ""}]
    answer = await client.post("/v1/events", json=body)
    assert problem(answer) == (400, "invalid-entries")
    errors = answer.json()["errors"]
    assert [each["index"] for each in errors] == [1, 2, 3]
    assert errors[0]["faults"][0]["reason"] == "missing_field"
    assert all(fault["where"].startswith("$") for each in errors for fault in each["faults"])
    assert sent(harness) == []


async def test_an_entry_that_kafka_would_refuse_is_refused(served: Served) -> None:
    harness, client = served
    large = json.loads(encode_json(item_of("i1"))) | {"description": "x" * 1_000_000}
    answer = await client.post("/v1/items", json=[large])
    assert problem(answer) == (400, "invalid-entries")
    assert sent(harness) == []


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"[]", {}, (400, "invalid")),
        (b"[1,", {}, (400, "invalid")),
        (b"", {}, (400, "invalid-entries")),
        (b"[" + b"0," * 1000 + b"0]", {}, (400, "invalid")),
        (b"[" * 100_000 + b"]" * 100_000, {}, (400, "invalid")),
        (b"{}", {"Content-Type": "text/plain"}, (415, "wrong-type")),
        (b"{}", {"Content-Encoding": "br"}, (415, "wrong-encoding")),
        (b"not gzip", {"Content-Encoding": "gzip"}, (400, "invalid")),
        (gzip.compress(b"{}", mtime=0)[:-9], {"Content-Encoding": "gzip"}, (400, "invalid")),
        (2 * gzip.compress(b"{}", mtime=0), {"Content-Encoding": "gzip"}, (400, "invalid")),
        (gzip.compress(b" " * 100_000_000, mtime=0), {"Content-Encoding": "gzip"}, (413, "too-large")),
        (b" " * (4 << 20) + b"{}", {}, (413, "too-large")),
    ],
)
async def test_wrong_bodies_are_refused(
    served: Served, content: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    harness, client = served
    answer = await client.post("/v1/events", content=content, headers={**JSON, **headers})
    assert problem(answer) == expected
    assert sent(harness) == []


async def test_entries_that_the_brokers_do_not_take_may_be_sent_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, client = served
    monkeypatch.setattr(Delivery, "complete", lambda self: self.fail(KafkaTimeoutError()))
    answer = await client.post("/v1/events", content=encode_json(act("view", "i1")), headers=JSON)
    assert problem(answer) == (503, "not-delivered")
    assert "same ids" in answer.json()["detail"]


async def test_a_reader_may_not_write() -> None:
    from tests.streams.http.test_auth import TWO

    async with http_service(http_tokens=TWO) as (harness, client):
        body = encode_json(act("view", "i1"))
        for token, status in (("open", 403), ("sesame", 202)):
            headers = {**JSON, "Authorization": f"Bearer {token}"}
            assert (await client.post("/v1/events", content=body, headers=headers)).status_code == status
        assert len(sent(harness)) == 1


@pytest.mark.parametrize("path", ["/v1/events", "/v1/items"])
async def test_messages_name_their_producer(path: str) -> None:
    tokens = f"shop:write:{sha256(b'open').hexdigest()}"
    message = encode_json(item_of("i1") if path.endswith("items") else act("view", "i1"))
    headers = {**JSON, "Authorization": "Bearer open"}
    async with http_service(http_tokens=tokens) as (harness, client):
        for more in ({}, {"ce-source": "web shop/1"}):
            assert (await client.post(path, content=message, headers=headers | more)).status_code == 202
        assert [copy.headers for copy in harness.producer.copies] == [
            [(PRODUCER_HEADER, b"http/shop")],
            [(PRODUCER_HEADER, b"web shop/1")],
        ]
    async with http_service() as (harness, client):
        assert (await client.post(path, content=message, headers=JSON)).status_code == 202
        assert harness.producer.copies[0].headers == [(PRODUCER_HEADER, b"http/local")]
