"""The pages show texts in the language of the setting."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from inference.types import NO_CLAIM, Item
from streams.asset_catalogue import topic_names
from streams.assets.registry import TABLES
from streams.console.explain import feature_title
from streams.console.value import COMMAND, SETTING
from tests.streams.console.harness import ConsoleHarness, answer, console_service, now_ms, seen, streamed, token
from tests.streams.console.streams_of_a_shop import fill as fill_streams
from tests.streams.shoppers import act

DATA_STREAM = "data/stream?topic=clicks&type=view&producer=shop-web"
PAGES = {
    "?user=ann": ("Welcome back", "Willkommen zurück", "欢迎回来"),
    "?user=bob": ("Your list right now", "Aktuelle Empfehlungen", "当前推荐列表"),
    "search?user=ann&q=i3": ("Search the shop", "Im Shop suchen", "搜索商品"),
    "search?q=green&brand=Oak": ("1 item matches", "1 passender Artikel", "找到 1 件商品"),
    "item?user=ann&id=t1": ("Add to the cart", "In den Warenkorb", "加入购物车"),
    "cart?user=ann": ("Goes with your cart", "Passt zum Warenkorb", "与购物车搭配"),
    "cart?user=bob": ("The cart is empty.", "Der Warenkorb ist leer.", "购物车是空的。"),
    "shopper?user=ann": ("after: put into the cart", "nach: in den Warenkorb gelegt", "行为： 加购"),
    "shopper?user=bob": ("No events lately.", "Keine Ereignisse in letzter Zeit.", "近期没有事件。"),
    "shopper/why?user=ann&item=i5": ("What the model made of it", "Bewertung des Modells", "模型的判断"),
    "shopper/why?user=ann&item=gone": ("no longer in it", "nicht mehr darin", "已不在其中"),
    "shopper/what-if?user=ann&item=i5": (
        "As if the shopper had clicked", "Als hätte der Kunde angeklickt", "假设该顾客点击了",
    ),
    "shopper/what-if?user=ann&q=tea": (
        "As if the shopper had searched", "Als hätte der Kunde gesucht", "假设该顾客搜索了",
    ),
    "shopper/what-if?user=ann&type=view": ("Bad Request", "erforderlich: einer der Typen", "需要以下类型之一："),
    "flow?user=ann": ("Latency by stage", "Latenz nach Schritt", "各阶段延迟"),
    "data": ("Last five minutes", "Letzte fünf Minuten", "最近五分钟"),
    DATA_STREAM: ("Views of shop-web", "Ansichten von shop-web", "shop-web 的浏览"),
    "data?": ("break the contract, usually", "Nachrichten verletzen den Vertrag", "的消息不符合数据契约"),
    "data/assets": ("Views, clicks, carts and purchases", "Ansichten, Klicks, Warenkörbe", "实时发生的浏览"),
    "data/asset?id=table/profiles": ("Directly before and behind", "Unmittelbar davor", "直接上下游"),
    "data/asset?id=gone": ("There is no such data asset.", "Dieses Datenobjekt gibt es nicht.", "没有此数据资产。"),
    "value": ("Make a report", "Einen Bericht erstellen", "生成报告"),
    "data/stream?topic=gone": ("This stream sent no", "Dieser Strom hat in den letzten", "此消息流在最近"),
    "item?id=gone": ("The catalogue does not have this item.", "nicht im Katalog", "商品目录中没有此商品。"),
}  # fmt: skip
"""A text of each page in English, German and Chinese."""
GRAPH = re.compile(r'<svg class="lineage".*?</svg>|<ul class="proposed">.*?</ul>', re.DOTALL)
"""Names of assets, sources and features, in the drawing of the lineage and beside it."""
SHOWN = ("aria-label", "placeholder", "data-prefix")
"""Attributes whose text people see or hear."""
DATA = re.compile(
    r"shop-(?:web|app)|\b(?:web|phone|gift|clicks|searches|items|not_json|ce_source)\b|\d+ k?B\b|"
    r"^[a-z_]+(?:\.[a-z]+)?$|"
    r"https?://\S+|The i\d+|green tea|\b[bci]\d+\b|^Shop $|\b(?:ann|bob|gone|Oak|Tea|tea|green)\b|"
    r"\b(?:Intentstream|Kafka|admin|click|cart|purchase|search|logit|ms|UTC|p50|p90|p99|[A-Z])\b|"
    r"[\d.]+ s\b|^/s$|\d\d \w{3} (?:\d{4}, )?\d\d:\d\d"
)
"""Texts that are the same in every language: names, units, times and data of the shop, such as its category Shop."""


class Visible(HTMLParser):
    """The texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value or "" for name, value in attrs if name in SHOWN]


async def fill(harness: ConsoleHarness) -> None:
    """Add an item with all fields, a profile, and an event and a list of each type."""
    await harness.add(
        Item(
            item_id="t1", title="green tea", category=("Tea",), brand="Oak", price=2.5, list_price=4.0,
            currency="EUR", url="https://shop.example/t1",
        )
    )  # fmt: skip
    fill_streams(harness.assets, int(now_ms()))
    chosen = (("cart", "i1"), ("view", "i2"), ("purchase", "i3"))
    harness.remember(*(act(kind, item, user_id="ann") for kind, item in chosen))
    for number, kind in enumerate(("search", "view", "click", "purchase", "cart")):
        harness.histories.add_event(seen(f"e{number}", kind), now_ms())
        listed = ["i2", "i3", "i5"][number % 2 :]
        harness.histories.add_list(answer(f"e{number}", listed, type_=kind, reason=("i1", NO_CLAIM)), now_ms())


@pytest.mark.parametrize(("place", "language"), [(0, "en"), (1, "de"), (2, "zh")])
async def test_pages_are_in_the_language_of_the_setting(place: int, language: str) -> None:
    async with console_service(language=language) as (harness, client):
        await fill(harness)
        for page, texts in PAGES.items():
            found = " ".join((await client.get(f"/console/{page}")).text.split())
            assert texts[place] in found, page
            if "<!doctype" in found:
                assert f'<html lang="{language}">' in found


async def test_no_english_text_is_left_on_chinese_pages() -> None:
    async with console_service(language="zh") as (harness, client):
        await fill(harness)
        named = {
            *topic_names(harness.settings).values(),
            *TABLES,
            "intentstream dead-letters list",
            SETTING,
            COMMAND,
            "=value/value.json",
            "docs/value.md",
            "size (there is no broker)",
        }
        names = re.compile("|".join(sorted(map(re.escape, named), key=len, reverse=True)))
        for page in PAGES:
            reader = Visible()
            reader.feed(GRAPH.sub("", (await client.get(f"/console/{page}")).text))
            own = [DATA.sub("", names.sub("", text)) for text in reader.texts]
            assert [text for text in own if re.search("[A-Za-z]", text)] == [], page


async def test_streams_and_the_announcer_have_the_language() -> None:
    async with console_service(language="zh") as (harness, client):
        assert 'data-prefix="推荐列表已更新，行为："' in (await client.get("/console/?user=ann")).text
        assert "当前推荐列表" in await streamed(client, "/console/live?user=ann", harness)


async def test_the_page_for_tokens_has_the_language() -> None:
    async with console_service(language="de", http_tokens=token("ann", "admin", "s" * 32)) as (_, client):
        wrong = await client.post("/console/login", data={"token": "wrong"})
        assert "Dieses Token ist unbekannt." in wrong.text


async def test_an_unreadable_kafka_is_reported_in_the_language() -> None:
    async with console_service(language="de") as (harness, client):
        harness.feed.problem = "KafkaConnectionError"
        for page in ("?user=ann", "shopper?user=ann", "flow"):
            page_text = (await client.get(f"/console/{page}")).text
            assert "Die Konsole kann nicht aus Kafka lesen: KafkaConnectionError" in page_text


def test_outside_of_requests_texts_are_english() -> None:
    assert feature_title("short_term_place") == "Current interest: how early"


async def test_an_item_without_a_claim_has_the_neutral_sentence_of_its_list() -> None:
    async with console_service() as (harness, client):
        harness.histories.add_event(seen("e1"), now_ms())
        harness.histories.add_list(answer("e1", ["i2"], reason=("可能适合您", NO_CLAIM)), now_ms())
        for page in ("shopper?user=ann", "?user=ann"):
            text = (await client.get(f"/console/{page}")).text
            assert '<p class="reason">可能适合您</p>' in text
            assert "may suit you" not in text
