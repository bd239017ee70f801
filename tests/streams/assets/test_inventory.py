"""The inventory: facts of the brokers, profiles, inferred types, classes of personal data, and lineage."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from streams.assets.expectations import Expected, Finding
from streams.assets.inventory import BrokerFacts, Inventory, Lineage
from streams.assets.registry import LISTS
from streams.exports.report import report
from tests.streams.assets.inventories import EVIL, NAMES, SETTINGS, small_inventory
from tests.streams.shoppers import NOW_MS

INVENTORY = small_inventory()


def test_everything_is_discovered() -> None:
    kinds = {
        kind: {each.name for each in INVENTORY.assets if each.kind == kind}
        for kind in ("event", "context", "attribute")
    }
    assert kinds == {
        "event": {"click", "search", "item"},
        "context": {"device", "page", "note"},
        "attribute": {"colour"},
    }
    ids = {each.id for each in INVENTORY.assets}
    assert {f"topic/{name}" for name in NAMES if "/" not in name} <= ids
    assert {"table/profiles", "table/pairs", "changelog/profiles", "changelog/pairs", "model/shop-minilm-l3/1"} <= ids
    assert all(each.purpose and each.owner for each in INVENTORY.assets)


def test_workers_read_the_model_without_a_group() -> None:
    model = INVENTORY.asset("model/shop-minilm-l3/1")
    assert model is not None
    assert [(each.name, each.is_group) for each in model.consumers] == [("workers", False)]


def test_a_topic_has_the_facts_of_the_brokers_and_the_profile_of_its_messages() -> None:
    clicks = INVENTORY.asset("topic/clicks")
    assert clicks is not None
    assert (clicks.partitions, clicks.retention_hours, clicks.is_compacted) == (8, 168, False)
    assert (clicks.messages, clicks.rate, clicks.hourly) == (41, 41 / 60, (0, 41))
    assert clicks.first_seen == datetime.fromtimestamp(NOW_MS / 1000 - 86_400, UTC)
    assert {each.name: (each.messages, each.refused) for each in clicks.producers} == {
        "web": (20, 0), EVIL: (20, 0), "app": (1, 1)
    }  # fmt: skip
    assert {each.name: (each.lag, each.members) for each in clicks.consumers if each.is_group} == {
        SETTINGS.kafka.app_id: (3, 2), "warehouse": (1000, None)
    }  # fmt: skip
    assert [each.name for each in clicks.consumers if not each.is_group] == ["training and learn"]
    assert clicks.outcomes == {"ok": 40, "not_json": 1}
    assert clicks.unknown == {"size": "the brokers refuse"}
    items = INVENTORY.asset("topic/items")
    assert items is not None
    assert (items.is_compacted, items.retention_hours, items.size_bytes) == (True, None, 123)
    recommendations = INVENTORY.asset("recommendations")
    assert recommendations is not None
    assert {each.name for each in recommendations.fields} >= {"recommendation_id", "items", "model"}


def test_fields_have_the_types_of_the_contract_and_open_keys_those_that_were_observed() -> None:
    click = INVENTORY.asset("event/click")
    assert click is not None
    fields = {each.name: each for each in click.fields}
    assert (fields["price"].types, fields["price"].completeness, fields["occurred_at"].types) == (
        ("number",),
        0.75,
        ("time",),
    )
    assert fields["context.page"].types == ("number",)
    spread = fields["context.page"].spread
    assert spread is not None
    assert (spread.of, spread.least, spread.greatest) == ("number", 0, 39)
    assert [each.value for each in fields["context.device"].frequent] == ["phone"]
    assert fields["user_id"].frequent == ()
    assert (fields["user_id"].personal, fields["item_id"].personal) == ("shopper", "none")
    search = INVENTORY.asset("event/search")
    assert search is not None
    query = next(each for each in search.fields if each.name == "query")
    assert (query.personal, query.spread and query.spread.of) == ("free text", "length")


def test_found_personal_data_raises_the_class() -> None:
    note, device = INVENTORY.asset("context/note"), INVENTORY.asset("context/device")
    assert note is not None
    assert device is not None
    assert (note.personal, device.personal) == ("found", "open")
    assert note.fields[0].found == {"email": 1}
    assert note.fields[0].frequent == ()
    clicks = INVENTORY.asset("topic/clicks")
    assert clicks is not None
    assert clicks.personal == "shopper"


def test_lineage_leads_from_a_producer_to_the_lists_and_from_a_list_back() -> None:
    lineage = INVENTORY.lineage
    to = lineage.downstream(f"producer/{EVIL}")
    assert {
        "event/click",
        "topic/clicks",
        "table/profiles",
        "topic/sessions",
        "source/together",
        "feature/next",
        LISTS,
    } <= to
    assert "topic/item_vectors" not in to
    since = lineage.upstream("source/sessions")
    assert {"topic/clicks", "topic/sessions", "event/click", "producer/web"} <= since
    assert "topic/trending" not in since
    assert "model/shop-minilm-l3/1" in lineage.upstream("topic/recommendations")
    assert not any(each.id.startswith("source/basket") for each in lineage.nodes)  # it is off by default
    part = lineage.around("topic/trending")
    assert {each.id for each in part.nodes} >= {"topic/clicks", "source/trending", "feature/popularity", LISTS}
    ids = {each.id for each in lineage.nodes}
    assert all({each.source, each.target} <= ids for each in lineage.edges)
    assert [each.layer for each in lineage.nodes] == sorted(each.layer for each in lineage.nodes)


def test_lineage_of_a_circle_ends() -> None:
    lineage = INVENTORY.lineage
    circle = Lineage(
        nodes=lineage.nodes[:2],
        edges=tuple(
            msgspec.structs.replace(lineage.edges[0], source=a.id, target=b.id, kind="data")
            for a, b in (lineage.nodes[:2], lineage.nodes[1::-1])
        ),
    )
    assert circle.upstream(lineage.nodes[0].id) == {lineage.nodes[1].id}


def test_without_workers_and_brokers_there_is_still_an_inventory() -> None:
    empty = small_inventory([], facts=BrokerFacts(unknown={"brokers": "no connection"}))
    clicks = empty.asset("clicks")
    assert clicks is not None
    assert (clicks.rate, clicks.size_bytes, clicks.last_seen, clicks.partitions) == (None, None, None, 8)
    assert clicks.unknown == {"brokers": "no connection"}
    assert {each.name for each in clicks.fields} >= {"user_id", "item_id", "context"}


def test_findings_name_the_stream_and_the_field() -> None:
    finding = Finding(
        topic="clicks", type="click", producer=EVIL, field="price", kind=Expected.COMPLETENESS, observed=0.5, limit=0.1,
        since_ms=NOW_MS, severity="medium", sentence="price is missing", shoppers="-", remedy="-",
    )  # fmt: skip
    refused = msgspec.structs.replace(finding, type="refused", field="", kind=Expected.REFUSED, severity="high")
    made = small_inventory(findings=(finding, refused))
    assert [(each.type, each.field, each.kind, each.severity) for each in made.findings] == [
        ("click", "price", "completeness", "medium"), ("refused", "", "refused", "high")
    ]  # fmt: skip
    page = report(made)
    assert "price is missing" in page
    assert EVIL not in page


def test_an_inventory_is_the_same_after_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(INVENTORY), type=Inventory) == INVENTORY


@pytest.mark.parametrize(
    ("name", "found"), [("clicks", "topic/clicks"), ("profiles", "table/profiles"), ("nothing", None)]
)
def test_an_asset_is_found_by_id_or_unique_name(name: str, found: str | None) -> None:
    asset = INVENTORY.asset(name)
    assert (None if asset is None else asset.id) == found
