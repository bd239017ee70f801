"""Dead letters are listed, shown and sent again, and their outcome is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from inference.types import Item
from streams.contracts.messages import FORWARDED_HEADER, PRODUCER_HEADER, DeadLetter, Header, View
from streams.contracts.serde import encode_json
from streams.settings import Settings
from tests.integration.commands import run
from tests.integration.shop_client import ShopClient
from tests.integration.topic_contents import read_all
from tests.integration.workers import worker, worker_settings

pytestmark = pytest.mark.kafka
NOW = datetime.now(UTC)
VIEW = View(event_id="v1", user_id="ann", occurred_at=NOW, item_id="tea")


@pytest.fixture
def settings(kafka: str, request: pytest.FixtureRequest) -> Settings:
    return worker_settings(kafka, request.node.name)


def letter(topic: str, key: bytes | None, value: bytes | None, reason: str, offset: int = 7) -> DeadLetter:
    return DeadLetter(
        topic=topic,
        partition=0,
        offset=offset,
        reason=reason,
        where="$",
        detail="for a test",
        key=key,
        value=value,
        failed_at=NOW,
        headers=(Header(name="trace", value=b"\x1b[2J"), Header(name=FORWARDED_HEADER, value=b"0/3/5")),
    )


async def publish(shop: ShopClient, dead: DeadLetter) -> str:
    """Publish a dead letter as a worker does. Return its place."""
    sent = await shop.publish(shop.settings.topics.dead_letters, dead.key, encode_json(dead))
    return f"{sent.partition}/{sent.offset}"


async def test_the_list_has_counts_and_filters_by_topic_reason_producer_and_time(settings: Settings) -> None:
    topics = settings.topics
    async with ShopClient.connected(settings) as shop:
        empty = await run(settings, "dead-letters", "list")
        assert (empty.exit_code, empty.stderr) == (0, "No dead letter matches.\n")
        for number in range(3):
            await publish(shop, letter(topics.clicks, b"ann", b"{", "not_json", number))
        old = msgspec.structs.replace(
            letter(topics.items, b"i", b"\x1b[31m", "empty"), failed_at=NOW - timedelta(hours=3)
        )
        named = (*old.headers, Header(name=PRODUCER_HEADER, value=b"webshop"))
        place = await publish(shop, msgspec.structs.replace(old, detail="a\x1b[2Jb", headers=named))
        await shop.publish(topics.dead_letters, b"k", b"no dead letter")
    everything = await run(settings, "dead-letters", "list")
    assert everything.exit_code == 0, everything.output
    assert f"4 dead letters: 3 {topics.clicks} not_json, 1 {topics.items} empty" in everything.stderr
    assert "1 messages on the topic are no dead letters" in everything.stderr
    assert "\x1b[2J" not in everything.output
    rows = everything.stdout.splitlines()[1:]
    assert rows[0].split()[0] == place
    assert "a\\x1b[2Jb" in rows[0]
    for arguments, number in (
        (["--topic", topics.items], 1),
        (["--reason", "not_json", "--reason", "empty"], 4),
        (["--producer", "webshop"], 1),
        (["--producer", "app"], 0),
        (["--since", "1h"], 3),
        (["--until", (NOW - timedelta(hours=1)).isoformat()], 1),
        (["--since", "2h", "--topic", topics.items], 0),
        (["--limit", "2"], 2),
    ):
        some = await run(settings, "dead-letters", "list", *arguments)
        assert len(some.stdout.splitlines()[1:]) == number, arguments
    assert "the newest 2 are shown" in some.stderr
    unknown = await run(settings, "dead-letters", "list", "--reason", "nonsense")
    assert unknown.exit_code == 2


async def test_a_dead_letter_is_shown_in_full_without_control_characters(settings: Settings, tmp_path: Path) -> None:
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        value = b'{"type":"view","user_id":"ann","price":"\xc2\x9b31m","item_id":"tea"}'
        await shop.publish(settings.topics.clicks, b"bob", value)
        await shop.wait_for_dead_letters(1)
        (dead,) = shop.dead_letters
        assert await running.stop() == 0
    (record,) = await read_all(settings, settings.topics.dead_letters)
    place = f"{record.partition}/{record.offset}"
    shown = await run(settings, "dead-letters", "show", place)
    assert shown.exit_code == 0, shown.output
    text = shown.stdout
    assert text.startswith(f"dead letter  {place}, refused at ")
    assert f"{settings.topics.clicks}, partition {dead.partition}, offset {dead.offset}" in text
    for fault in ("missing_field $.event_id", "missing_field $.occurred_at", "wrong_type $.price", "wrong_key key"):
        assert f"error        {fault}: required" in text
    assert "key          bob" in text
    assert '  "price": "\\x9b31m"' in text
    assert "\x9b" not in text
    missing = await run(settings, "dead-letters", "show", "0/999999", "9999/0")
    assert missing.exit_code == 1
    assert "no dead letter at 0/999999, 9999/0" in missing.stderr


async def test_replayed_messages_become_lists_items_or_dead_letters_again(settings: Settings, tmp_path: Path) -> None:
    topics = settings.topics
    tea = Item(item_id="tea", title="Green tea")
    async with ShopClient.connected(settings) as shop, worker(settings, tmp_path) as running:
        bad = letter(topics.clicks, b"ann", b"{", "not_json")
        again = await publish(shop, bad)
        await publish(shop, letter(topics.items, b"tea", encode_json(tea), "unencodable"))
        await publish(shop, letter(topics.items, b"cup", None, "unencodable"))
        await publish(shop, letter(topics.clicks, b"ann", encode_json(VIEW), "unreadable_profile"))
        await publish(shop, letter("another", b"ann", encode_json(VIEW), "unreadable_profile"))

        declined = await run(settings, "dead-letters", "replay")
        assert declined.exit_code == 1
        assert await read_all(settings, topics.clicks) == []

        done = await run(
            settings, "dead-letters", "replay", "--reason", "unencodable", "--reason", "unreadable_profile", "--yes"
        )
        assert done.exit_code == 0, done.output
        assert f"Sent 3 messages (1 to {topics.clicks}, 2 to {topics.items})" in done.stdout
        assert "1 answered with a list, 2 published as an item." in done.stdout
        assert "1 cannot be sent" in done.stderr
        await running.wait_for_items(1)
        assert (await shop_list(shop)) == 1
        (record,) = await read_all(settings, topics.clicks)
        assert (record.key, record.value) == (b"ann", encode_json(VIEW))
        assert record.headers == (("trace", b"\x1b[2J"),)

        refused = await run(settings, "dead-letters", "replay", again, "--yes")
        assert refused.exit_code == 1
        assert "1 refused again." in refused.stdout
        assert f"{again} again: not_json $: required JSON" in refused.stdout
        assert await running.stop() == 0
    late = await run(settings, "dead-letters", "replay", again, "--yes", "--wait", "0.5")
    assert late.exit_code == 1
    assert "1 without a result yet." in late.stdout
    nothing = await run(settings, "dead-letters", "replay", "--since", "1s", "--reason", "empty", "--yes")
    assert (nothing.exit_code, nothing.stderr) == (0, "No dead letter matches.\n")


async def shop_list(shop: ShopClient) -> int:
    """Wait for the list of the view, and return the number of lists."""
    await shop.wait_for_lists([VIEW])
    return len(shop.lists[VIEW.event_id])
