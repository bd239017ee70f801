from __future__ import annotations

import re
from datetime import UTC, datetime
from io import StringIO

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from inference.types import KINDS, NO_CLAIM, Because
from streams.contracts.messages import (
    ModelRef,
    Purchase,
    Recommendations,
    RecommendedItem,
    Search,
    Trigger,
    View,
)
from streams.demo.output import PlainOutput, plain_line, summary
from streams.demo.statistics import REASONS, Statistics
from streams.demo.view import Ranked, Screen
from streams.demo.words import words
from tests.streams.demo.test_staging import finding

AT = datetime(2017, 1, 2, 12, tzinfo=UTC)
LONG = "Frozen Single Serve Premium Entrees/Dinners with Everything on Top, 11.5 oz"
TITLES = {"1": "Lemons", "2": LONG, "3": "Yogurt [bold]not[/bold] Multi-Packs, 6 oz"}
SOURCES = ("short_term", "long_term", "query", "together", "new", "trending")


def answer(event_id: str, user_id: str = "7", fallback: str | None = None) -> Recommendations:
    items = tuple(
        RecommendedItem(
            rank=rank,
            item_id=str(1 + rank % 3),
            score=1 / rank,
            sources=SOURCES,
            reason=f"because you bought {LONG}" if rank < 20 else "may suit you",
            because=Because("similar", "2", LONG, action="purchase") if rank < 20 else NO_CLAIM,
        )
        for rank in range(1, 21)
    )
    return Recommendations(
        recommendation_id="r",
        user_id=user_id,
        trigger=Trigger(event_id=event_id, type="view", topic="clicks", partition=0, offset=0, occurred_at=AT),
        produced_at=AT,
        items=items,
        intent=(),
        model=ModelRef(name="m", version="1"),
        fallback=fallback,
    )


@pytest.fixture
def stats() -> Statistics:
    stats = Statistics(total=1200, shopper="7", titles=TITLES)
    stats.send(Search(event_id="e0", user_id="7", occurred_at=AT, query="lemons"), 0.0)
    stats.send(View(event_id="e1", user_id="7", occurred_at=AT, item_id="1"), 0.1)
    stats.send(View(event_id="e2", user_id="8", occurred_at=AT, item_id="2"), 0.2)
    stats.send(Purchase(event_id="e3", user_id="7", occurred_at=AT, item_id="3"), 0.3)
    stats.receive(answer("e0"), 0.01)
    stats.receive(answer("e1"), 0.12)
    stats.receive(answer("e2", "8", fallback="deadline_exceeded"), 0.3)
    return stats


def rendered(renderable: object, width: int, height: int) -> list[str]:
    console = Console(file=StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30)])
def test_the_screen_fits_the_terminal(stats: Statistics, width: int, height: int) -> None:
    lines = rendered(Screen(stats, "Intentstream", 1.0), width, height)
    assert len(lines) <= height
    assert {len(line) for line in lines} == {width}


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30)])
def test_the_screen_shows_the_figures_and_the_shopper(stats: Statistics, width: int, height: int) -> None:
    text = "\n".join(rendered(Screen(stats, "Intentstream", 1.0), width, height))
    for part in ("Mon 02 Jan 2017", "3 of 1,200", "p50 20.0 ms", "fallbacks 1", "refused 0", "in flight 1"):
        assert part in text
    for part in ("Actions of shopper 7", "searched “lemons”", "viewed   Lemons", "After: viewed Lemons"):
        assert part in text
    assert "Yogurt [bold]not[/bold]" in text
    assert "100.0%" in text
    assert "because you bought Frozen" in text


def test_the_screen_and_the_output_name_a_producer_of_wrong_data(stats: Statistics) -> None:
    assert "data  nothing wrong" in "\n".join(rendered(Screen(stats, "Intentstream", 1.0), 100, 30))
    said: list[str] = []
    plain = PlainOutput(said.append, stats)
    plain.start()
    plain.show(1.0)
    stats.findings = [finding("unknown_items")]
    for now in (2.0, 3.0):
        plain.show(now)
    line = "shop-app sends unknown items, since 12:00:00 UTC"
    assert [text for text in said if line in text] == [f"Data: {line}"], "once"
    assert f"data  {line}" in "\n".join(rendered(Screen(stats, "Intentstream", 1.0), 80, 24))
    assert line in "\n".join(rendered(summary(stats, 8.25), 80, 24))


def test_items_show_their_sources_by_name_in_what_the_reason_leaves(stats: Statistics) -> None:
    text = "\n".join(rendered(Screen(stats, "Intentstream", 1.0), 100, 24))
    assert "because you bought Frozen" in text
    assert "… · Current intere" in text  # the rest does not fit
    without_reason = "\n".join(rendered(Ranked(answer("e").items[19:], TITLES), 80, 24))
    assert "Current interest, Lasting taste, Meaning of the search" in without_reason


def test_an_unranked_list_shows_its_fallback_and_no_probability(stats: Statistics) -> None:
    stats.send(View(event_id="e4", user_id="7", occurred_at=AT, item_id="1"), 0.4)
    stats.receive(answer("e4", fallback="deadline_exceeded"), 0.7)
    text = "\n".join(rendered(Screen(stats, "Intentstream", 1.0), 80, 24))
    assert "not ranked by the model: deadline exceeded" in text
    assert "100.0%" not in text
    assert "· Current" in text


def test_every_kind_of_reason_has_a_name() -> None:
    assert set(REASONS) == {*KINDS, None}
    assert len(set(REASONS.values())) == len(REASONS)


def test_reasons_are_counted_by_their_kind(stats: Statistics) -> None:
    assert stats.reasons == {"because you …": 38, "nothing claimed": 2}


def test_an_item_without_a_claim_has_no_sentence(stats: Statistics) -> None:
    assert stats.shown is not None
    items = stats.shown.message.items
    first, last = (rendered(Ranked(items[place:][:1], TITLES), 60, 24) for place in (0, 19))
    assert "because you bought Frozen" in first[1]
    assert "may suit you" not in "".join(last)


def test_a_screen_without_lists_shows_that_it_waits() -> None:
    text = "\n".join(rendered(Screen(Statistics(total=10, shopper="7", titles={}), "Intentstream", 0.0), 80, 24))
    assert "waiting for the first lists" in text
    assert "The shopper has not done anything yet." in text


def test_percentiles_cover_the_timed_lists(stats: Statistics) -> None:
    times = stats.percentiles()
    assert times is not None
    assert times.p50 == pytest.approx(20)
    assert times.p99 == pytest.approx(98.4)


def test_repeated_and_unknown_lists_are_not_counted(stats: Statistics) -> None:
    stats.receive(answer("e1"), 0.9)
    stats.receive(answer("unknown"), 0.9)
    assert (stats.answered, stats.unanswered, stats.fallbacks) == (3, 1, 1)
    assert (stats.items, stats.sources["new"], stats.reasons["because you …"]) == (40, 40, 38)


def test_rates_cover_the_last_seconds() -> None:
    stats = Statistics(total=10, shopper="7", titles=TITLES)
    assert stats.rates(0.0) == (0.0, 0.0)
    for n in range(40):
        stats.send(View(event_id=str(n), user_id="8", occurred_at=AT, item_id="1"), n / 10)
    assert stats.rates(2.0) == (20.0, 0.0)
    stats.rates(4.0)
    assert stats.rates(5.0) == (0.0, 0.0)


def test_the_summary_has_the_counts_and_shares(stats: Statistics) -> None:
    text = "\n".join(rendered(summary(stats, 8.25), 80, 24))
    assert "4 sent, 3 answered, 1 unanswered" in text
    assert "8.2 s after the start" in text
    assert "Shopper 7, last: viewed Lemons" in text
    assert "100% together" in text
    assert " 95% because you …" in text
    assert max(map(len, text.split("\n"))) <= 80


def test_a_plain_line_has_the_figures(stats: Statistics) -> None:
    assert "3 of 1,200 answered" in plain_line(stats, 1.0)
    assert "fallbacks 1" in plain_line(stats, 2.0)


CHINESE = {
    "1": "岚栖茶舍 明前龙井绿茶 100g罐装",
    "2": "岚栖茶舍 高山云雾绿茶 口粮茶 250g袋装 限时特惠买一送一包邮",
    "3": "瓷隐 功夫茶具套装",
}


@pytest.mark.parametrize(("width", "height"), [(80, 24), (99, 30), (100, 30)])
def test_a_chinese_screen_fits_the_terminal_in_cells(width: int, height: int) -> None:
    stats = Statistics(total=1200, shopper="7", titles=CHINESE)
    stats.send(View(event_id="e1", user_id="7", occurred_at=AT, item_id="2"), 0.0)
    message = answer("e1")
    items = tuple(msgspec.structs.replace(item, reason=f"因为您浏览过“{CHINESE['2']}”") for item in message.items)
    stats.receive(msgspec.structs.replace(message, items=items), 0.02)
    lines = rendered(Screen(stats, "Intentstream", 1.0, words("zh")), width, height)
    assert {cell_len(line) for line in lines} == {width}
    assert len(lines) <= height
    text = "\n".join(lines)
    for part in (
        "2017年01月02日",
        "已应答 1 / 1,200 个事件",
        "顾客 7 的行为",
        "浏览     岚栖茶舍",
        "因为您浏览过",
        "当前兴趣、长",
    ):
        assert part in text
    assert not set("abcdefghijklmnopqrstuvwxyz") & set(re.sub(r"Intentstream|ms|p\d\d|/s|\d+g", "", text))


def test_the_chinese_summary_is_chinese(stats: Statistics) -> None:
    text = "\n".join(rendered(summary(stats, 8.25, words("zh")), 80, 24))
    for part in (
        "发送 4，应答 3，未应答 1",
        "演示启动后 8.2 秒",
        "顾客 7 的最后行为：浏览 Lemons。推荐：",
        " 95% 因为您浏览或购买过…",
        "100% together",
    ):
        assert part in text
    assert max(map(cell_len, text.split("\n"))) <= 80
    assert "已应答 3 / 1,200" in plain_line(stats, 1.0, words("zh"))
