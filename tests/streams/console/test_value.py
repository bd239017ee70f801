"""The page Value as a browser without scripts sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import httpx
import msgspec
import pytest

from streams.console.value import OLD_DAYS
from streams.console.value_rows import MOST_ROWS
from streams.value.report import Sections, ValueReport
from streams.value.sessions import Candidate
from tests.streams.console.harness import console_service, token
from tests.streams.console.test_languages import DATA, Visible
from tests.streams.value.reports import asset, report, sessions, unmeasured, with_values, write

EVIL = '<script>alert("x")</script>"\'&amp;\x1b[31m\u202e'
LANGUAGES = {
    "en": ("Most valuable", "The shop has none", "switch off", "Candidates for removal", "Make a report"),
    "de": (
        "Am wertvollsten",
        "Hat der Shop nicht",
        "ausschalten",
        "Kandidaten zum Entfernen",
        "Einen Bericht erstellen",
    ),
    "zh": ("最有价值", "商店没有", "关闭", "可考虑移除", "生成报告"),
}
NAMED = re.compile(
    r"intentstream value\b[\w .=/-]*|INTENTSTREAM_ASSETS_VALUE_FILE(=value/value.json)?|(value\.html|docs/value\.md)|"
    r"worst-sessions\.csv|--\w+( fitted)?|MRR@20|NDCG|Shapley|visit-17|\bpage$|shop-(web|app)|\d+ k?B\b|"
    r"\b(other 3|m 1)\b"
)
"""Texts of the page that are the same in every language."""


async def page_of(
    found: ValueReport | Mapping[str, object] | bytes, folder: Path, **settings: object
) -> httpx.Response:
    """Return the page for the content of a file."""
    async with console_service(assets_value_file=write(folder, found), **settings) as (_, client):
        return await client.get("/console/value")


async def text_of(found: ValueReport, folder: Path) -> str:
    """Return the text of the page of a report."""
    answer = await page_of(found, folder)
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def row_of(page: str, title: str) -> str:
    """Return the text of the row that begins with a title."""
    rows = [
        " ".join(unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    ]
    return next(row for row in rows if row.startswith(title))


async def test_without_the_setting_the_page_says_how_to_make_a_report() -> None:
    async with console_service() as (_, client):
        page = unescape((await client.get("/console/value")).text)
        assert "intentstream value --catalog items.jsonl --events events.jsonl --output value" in page
        assert "INTENTSTREAM_ASSETS_VALUE_FILE=value/value.json" in page
        assert 'role="alert"' not in page
        assert 'aria-current="page">Value<' in page


async def test_each_asset_has_its_loss_with_interval_and_bar_its_cost_and_advice(tmp_path: Path) -> None:
    page = (await page_of(report(), tmp_path)).text
    assert row_of(page, "Purchases") == "Purchases purchase 38% 34% to 42% 30% 5 kB helps keep"
    assert row_of(page, "New") == "New new −6.0% −10% to −2.0% 30% 75 µs for a list harmful switch off"
    assert row_of(page, "Carts") == "Carts cart 1.0% −3.0% to 5.0% 30% 5 kB no difference shown measure longer"
    assert row_of(page, "Shopper's id").startswith(
        "Shopper's id user_id without it, each visit is that of a new shopper 40%"
    )
    assert row_of(page, "History of 1 to 7 days before the test 6.0%").endswith("helps keep")
    assert "The shop has none: Clicks<" in page
    assert "Not used by the recommender: page<" in page
    assert page.index('id="h-type"') < page.index('id="h-source"')


async def test_bars_have_one_scale_and_show_which_are_sure(tmp_path: Path) -> None:
    page = (await page_of(report(), tmp_path)).text
    bars = re.findall(r'<svg class="worth".*?</svg>', page)
    ids = {each.attrib["class"] for bar in bars for each in ElementTree.fromstring(bar)}
    assert {"plus", "plus unsure", "minus", "zero", "ends"} <= ids
    widest = max(float(width) for width in re.findall(r'<rect class="plus[^"]*" x="[^"]*" y="2" width="([^"]*)"', page))
    assert 0 < widest <= 100
    assert "up to 44%" in " ".join(page.split()), "the end of the widest interval"


async def test_the_page_tells_what_was_measured_when_and_with_which_model(tmp_path: Path) -> None:
    text = await text_of(report(), tmp_path)
    assert "25% of the lists contain the shopper's next item (first 20 places)" in text
    assert "Measured 2026-11-28 100 lists from 2026-10-24 on" in text
    assert "Recommendation model m 1 frozen" in text
    assert "This worker uses the model" not in text
    assert "Parts that help: 4, harmful: 1, without a difference that these lists show: 2." in text
    other = report(model={"name": "other", "version": "3", "ranker": "retrained", "known_share": 0.4})
    text = await text_of(other, tmp_path)
    assert "retrained without each part" in text
    assert "This worker uses the model m 1. The report is about another one." in text
    assert "trained on about 40% of the tested events" in text
    assert row_of((await page_of(other, tmp_path)).text, "Purchases").startswith("Purchases purchase frozen model")


async def test_advice_that_changes_something_is_apart_from_the_rest(tmp_path: Path) -> None:
    page = (await page_of(report(), tmp_path)).text
    advice = page.partition('id="h-advice"')[2].partition("</section>")[0]
    changes, _, others = advice.partition("<details")
    assert re.findall(r"<dt>(.*?)</dt><dd>(.*?) <", changes) == [("collect more", "Title"), ("switch off", "New")]
    assert re.findall(r"<dt>(.*?)</dt>", others) == ["measure longer", "keep"]


async def test_an_old_report_is_marked(tmp_path: Path) -> None:
    at = datetime.now(UTC)
    assert "days old" not in await text_of(report(measured_at=at.isoformat()), tmp_path)
    old = (at - timedelta(days=OLD_DAYS + 1)).isoformat()
    assert f"This report is {OLD_DAYS + 1} days old" in await text_of(report(measured_at=old), tmp_path)


async def test_producers_have_the_loss_without_them_and_what_they_send_twice(tmp_path: Path) -> None:
    page = (await page_of(report(), tmp_path)).text
    assert row_of(page, "shop-web") == "shop-web 30% 26% to 34% helps 600 – 2×"
    assert row_of(page, "shop-app") == "shop-app −1.0% −5.0% to 3.0% no difference shown 300 50% 2×"


async def test_candidates_for_removal_are_sessions_without_shoppers(tmp_path: Path) -> None:
    page = (await page_of(report(), tmp_path)).text
    assert row_of(page, "visit-17") == "visit-17 2026-10-02 9 12 −0.5×"
    text = await text_of(report(), tmp_path)
    assert "Of 100 visits, 31% have a negative value." in text
    assert "(MRR@20) changes by 2.0% (1.0% to 3.0%)" in text
    assert row_of(page, "Older half of the history").startswith("Older half of the history 40% 35% to 45% 80% 20%")


async def test_a_report_of_a_single_section_shows_that_only(tmp_path: Path) -> None:
    text = await text_of(report(sections=Sections(sessions=sessions())), tmp_path)
    assert "Candidates for removal" in text
    assert "Most valuable" not in text
    assert "Event types" not in text
    text = await text_of(report(sections=Sections(live=report().sections.live)), tmp_path)
    assert "How this was measured" in text


async def test_long_tables_are_cut_and_say_so(tmp_path: Path) -> None:
    keys = [asset("context", f"key-{n}", n / 1000) for n in range(MOST_ROWS + 5)]
    page = (await page_of(with_values(*keys), tmp_path)).text
    assert "5 more are not shown." in page
    assert page.count("<code") < 10, "a key is its own name"


async def test_extreme_numbers_and_odd_names_do_no_harm(tmp_path: Path) -> None:
    huge = msgspec.structs.replace(asset("type", "view").loss["hr"], value=1e300, low=-1e300, high=1e300)
    wild = msgspec.structs.replace(asset("type", "view"), relative=huge)
    odd = [asset(kind, name, -3.0) for kind, name in (("history", "1.2.3-x"), ("feature", ""), ("source", ""))]
    found = with_values(wild, *odd, unmeasured("unheard", "x", "absent"))
    assert (await page_of(found, tmp_path)).status_code == 200


async def test_all_texts_of_the_file_are_escaped(tmp_path: Path) -> None:
    evil = [asset(kind, EVIL, title=EVIL) for kind in ("context", "producer", "field", "source", "type", "attribute")]
    hostile = with_values(*evil)
    candidate = Candidate(session_id=EVIL, began=EVIL, items=1, lists=1, value=-1.0)
    data = msgspec.structs.replace(hostile.data, producers={EVIL: 5}, duplicates={EVIL: 3}, since=EVIL)
    hostile = msgspec.structs.replace(
        hostile, data=data, protocol=EVIL, measured_at=EVIL, model={"name": EVIL, "version": EVIL, "ranker": EVIL},
        sections=msgspec.structs.replace(hostile.sections, sessions=sessions(candidate, producers=(EVIL, "b"))),
    )  # fmt: skip
    answer = await page_of(hostile, tmp_path)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert "alert(" in unescape(answer.text)
    assert not {"\x1b", "\u202e"} & {*answer.text}
    page = await page_of(b'{"schema": "<script>alert(1)</script>"}', tmp_path)
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"{", ("This file is damaged, or no report", "$: required JSON, got 1 bytes")),
        (b'{"schema": "other"}', ("This file is no report", "required intentstream-value")),
        (b'{"schema": "intentstream-value", "version": 9}', ("Another version", "$.version: required 1, got 9")),
    ],
)  # fmt: skip
async def test_a_wrong_file_is_named_with_what_is_wrong(content: bytes, texts: tuple[str, ...], tmp_path: Path) -> None:
    answer = await page_of(content, tmp_path)
    assert answer.status_code == 200
    page = unescape(answer.text)
    assert all(text in page for text in (*texts, str(tmp_path / "value.json"), "Make a report"))


async def test_a_missing_file_is_named_and_read_when_it_comes(tmp_path: Path) -> None:
    async with console_service(assets_value_file=tmp_path / "value.json") as (_, client):
        assert "There is no such file." in (await client.get("/console/value")).text
        write(tmp_path, report())
        assert "Most valuable" in (await client.get("/console/value")).text


async def test_only_admins_see_the_page(tmp_path: Path) -> None:
    tokens = ",".join((token("ann", "read", "o" * 32), token("bob", "admin", "s" * 32)))
    path = write(tmp_path, report())
    async with console_service(assets_value_file=path, http_tokens=tokens) as (_, client):
        assert (await client.get("/console/value")).status_code == 303
        for text, status in (("o" * 32, 403), ("s" * 32, 200)):
            answer = await client.get("/console/value", headers={"Authorization": f"Bearer {text}"})
            assert answer.status_code == status
            assert ("Purchases" in answer.text) == (status == 200)
        home = await client.get("/console/?user=ann", headers={"Authorization": f"Bearer {'o' * 32}"})
        assert "/console/value" not in home.text


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_is_in_the_language_of_the_setting(language: str, tmp_path: Path) -> None:
    *shown, without = LANGUAGES[language]
    page = (await page_of(report(), tmp_path, language=language)).text
    assert all(text in page for text in shown)
    async with console_service(language=language) as (_, client):
        assert without in (await client.get("/console/value")).text


async def test_no_english_text_is_left_on_chinese_pages(tmp_path: Path) -> None:
    model = {"name": "other", "version": "3", "ranker": "fitted", "known_share": 0.4}
    for found in (report(), report(model=model), b'{"schema": "intentstream-value", "version": 9}'):
        page = (await page_of(found, tmp_path, language="zh")).text
        reader = Visible()
        reader.feed(re.sub(r"<code.*?</code>", "", page, flags=re.DOTALL))
        own = [DATA.sub("", NAMED.sub("", text)) for text in reader.texts]
        assert [text for text in own if re.search("[A-Za-z]", text)] == []


async def test_pages_run_no_inline_code(tmp_path: Path) -> None:
    page = (await page_of(report(), tmp_path)).text
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=|javascript:|hx-on|js:", page)
