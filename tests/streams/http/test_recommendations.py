"""A shopper's list on request: ranked in a batch with others, and never without an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from streams.contracts.messages import Recommendations
from streams.http.maker import BATCH
from tests.integration.workers import until
from tests.streams.http.service import CHANGELOG, ITEMS, LIST_SIZE, OWN_URL, TIMEOUT_S, HttpHarness, http_service
from tests.streams.shoppers import act, unit_vector

Served = tuple[HttpHarness, httpx.AsyncClient]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with http_service() as served:
        yield served


def path(user_id: str = "u") -> str:
    return f"/v1/users/{user_id}/recommendations"


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert body["detail"]
    assert body["title"]
    return answer.status_code, body["type"].removeprefix("urn:intentstream:problem:")


async def test_a_known_shopper_gets_items_by_intent(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    answer = await client.get(path())
    body = answer.json()
    near = sorted(ITEMS, key=lambda item: -float(unit_vector("i3") @ unit_vector(item)))
    assert ids(answer) == near[:LIST_SIZE]  # the item itself too: there is no session yet
    assert (body["user_id"], body["fallback"], body["model"]) == ("u", None, {"name": "m", "version": "1"})
    assert [item["rank"] for item in body["items"]] == [1, 2, 3, 4, 5]
    assert set(body["items"][0]) >= {"item_id", "score", "sources", "reason"}
    fields = set(Recommendations.__struct_fields__)
    assert set(body) <= fields, "a reader of the topic knows all fields"


async def test_a_new_shopper_gets_a_list(served: Served) -> None:
    _, client = served
    answer = await client.get(path("somebody new"))
    assert len(ids(answer)) == LIST_SIZE
    assert answer.json()["fallback"] is None


async def test_the_length_and_the_excluded_items_are_the_requests(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    first = ids(await client.get(path(), params={"k": 3}))
    assert len(first) == 3
    others = ids(await client.get(path(), params={"k": 30, "exclude": first}))
    assert sorted(others) == sorted(set(ITEMS) - set(first))


async def test_an_id_may_contain_slashes_and_blanks(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3", user_id="a/b c?"))
    answer = await client.get("/v1/users/a%2Fb%20c%3F/recommendations")
    assert answer.json()["user_id"] == "a/b c?"
    assert ids(answer)[0] == "i3"


@pytest.mark.parametrize(
    ("params", "part"),
    [
        ({"k": "0"}, 'k: required integer >= 1, got "0"'),
        ({"k": "101"}, 'k: required integer <= 100, got "101"'),
        ({"k": "many"}, 'k: required integer, got "many"'),
        ({"k": "9" * 30}, "k: required "),
        ({"explain": "maybe"}, 'explain: required boolean, got "maybe"'),
        ({"exclude": ""}, "exclude[0]: required string of length >= 1, got 0"),
        ({"exclude": "x" * 129}, "exclude[0]: required string of length <= 128, got 129"),
        ({"exclude": ["x"] * 501}, "exclude: required array of length <= 500, got 501"),
        ({"lang": "de_AT"}, 'lang: required a string that matches ^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$, got "de_AT"'),
        (
            {"size": "3"},
            "size: required one of the parameters k, exclude, lang, placement, filter, explain; got",
        ),
        ({"k": "0", "explain": "7"}, 'k: required integer >= 1, got "0"; explain: required boolean, got "7"'),
    ],
)
async def test_wrong_parameters_are_refused(served: Served, params: dict[str, Any], part: str) -> None:
    answer = await served[1].get(path(), params=params)
    assert problem(answer) == (400, "invalid")
    assert answer.json()["detail"].startswith(part)


async def test_a_user_id_beyond_the_contract_is_refused(served: Served) -> None:
    answer = await served[1].get(path("x" * 129))
    assert problem(answer) == (400, "invalid")
    assert answer.json()["detail"] == "user: required string of length <= 128, got 129"


async def test_waiting_requests_are_ranked_in_one_batch(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    harness.model.gate.clear()
    first = asyncio.create_task(client.get(path()))
    assert await asyncio.to_thread(harness.model.reached.wait, TIMEOUT_S)
    others = [asyncio.create_task(client.get(path(f"u{n}"))) for n in range(BATCH + 1)]
    await until(lambda: len(harness.maker._waiting) == BATCH + 1, "the others wait", TIMEOUT_S)
    harness.model.gate.set()
    answers = await asyncio.gather(first, *others)
    assert all(len(ids(answer)) == LIST_SIZE for answer in answers)
    # Each batch runs the ranker twice: for the lists and for their reasons.
    assert len(harness.model.runs) == 2 * 3


async def test_without_the_model_a_list_is_in_retrieval_order(served: Served) -> None:
    harness, client = served
    harness.model.fails = True
    answer = await client.get(path())
    assert len(ids(answer)) == LIST_SIZE
    assert answer.json()["fallback"] == "scoring_failed"


async def test_a_damaged_profile_costs_only_its_own_shopper_the_profile(served: Served) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    good = harness.table.stored[0, b"u"]
    for partition in (0, 1):
        harness.table.stored[partition, b"damaged"] = good[:-1]
    damaged, whole = await asyncio.gather(client.get(path("damaged")), client.get(path()))
    assert (damaged.json()["fallback"], len(ids(damaged))) == ("no_profile", LIST_SIZE)
    assert (whole.json()["fallback"], ids(whole)[0]) == (None, "i3")


@pytest.mark.parametrize("state", ["recovering", "nobody", "gone"])
async def test_without_the_owner_a_list_is_made_without_the_profile_and_labelled(
    served: Served, state: str, unused_tcp_port: int
) -> None:
    harness, client = served
    harness.remember(act("view", "i3"))
    if state == "recovering":
        harness.health.tables_recovered = False
    else:
        owner = {f"http://127.0.0.1:{unused_tcp_port}": {CHANGELOG: [0, 1]}}
        harness.owned = {OWN_URL: {}} | (owner if state == "gone" else {})
    answer = await client.get(path())
    assert (answer.json()["fallback"], len(ids(answer))) == ("no_profile", LIST_SIZE)
    assert harness.table.reads == [], "a database that is not this worker's must not be opened"


async def test_a_worker_that_is_not_ready_says_so(served: Served) -> None:
    harness, client = served
    harness.health.catalogue_read = False
    answer = await client.get(path())
    assert problem(answer) == (503, "not-ready")
    assert answer.headers["retry-after"] == "1"
    harness.health.catalogue_read, harness.health.stopping = True, True
    assert "stopping" in (await client.get(path())).json()["detail"]


async def test_a_late_answer_is_an_error_and_its_request_is_skipped() -> None:
    async with http_service(http_timeout_seconds=0.05) as (harness, client):
        harness.model.gate.clear()
        answers = await asyncio.gather(*(client.get(path(f"u{n}")) for n in range(3)))
        assert [problem(answer) for answer in answers] == [(503, "timeout")] * 3
        harness.model.gate.set()
        await until(lambda: not harness.maker._waiting, "nobody waits", TIMEOUT_S)


async def test_too_many_waiting_requests_are_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = served
    monkeypatch.setattr("streams.http.maker.MOST_WAITING", 0)
    assert problem(await client.get(path())) == (503, "busy")


async def test_a_failing_request_ends_neither_the_service_nor_says_why(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, client = served

    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    with monkeypatch.context() as context:
        context.setattr("streams.http.maker.make_lists", fail)
        answer = await client.get(path("shopper-17"))
    assert problem(answer) == (500, "failed")
    assert "secret" not in answer.text
    assert "could not be made" in caplog.text
    assert "shopper-17" not in caplog.text
    assert len(ids(await client.get(path()))) == LIST_SIZE


async def test_other_paths_and_methods_are_problems(served: Served) -> None:
    _, client = served
    assert problem(await client.get("/v1/nothing")) == (404, "unknown-path")
    answer = await client.post(path())
    assert problem(answer) == (405, "wrong-request")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_requests_are_counted_by_route_and_status_and_less_good_lists_by_reason(served: Served) -> None:
    harness, client = served
    route = "/v1/users/{user}/recommendations"

    def counted(name: str, **labels: str) -> float | None:
        return harness.metrics.registry.get_sample_value(f"intentstream_{name}", labels)

    assert counted("http_request_duration_seconds_count", route=route) == 0
    await client.get(path())
    await client.get(path(), params={"k": 0})
    harness.owned = {}
    await client.get(path())
    assert counted("http_requests_total", route=route, status="200") == 2
    assert counted("http_requests_total", route=route, status="400") == 1
    assert counted("http_request_duration_seconds_count", route=route) == 3
    assert counted("http_fallbacks_total", reason="no_profile") == 1
