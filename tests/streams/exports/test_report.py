"""The HTML report and its drawings: complete, linked, escaped, and without anything from outside."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from streams.assets.inventory import BrokerFacts
from streams.exports.drawing import compact, lineage_svg, neighbourhood, sparkline
from streams.exports.report import report
from tests.browser import accessibility_faults, chromium
from tests.streams.assets.inventories import EVIL, small_inventory
from tests.streams.assets.streams import observed
from tests.streams.shoppers import NOW_MS, act

INVENTORY = small_inventory()
PAGE = report(INVENTORY)


def test_untrusted_texts_are_escaped() -> None:
    assert EVIL not in PAGE
    assert escape(EVIL)[:20] in PAGE
    assert "<script" not in PAGE


def test_characters_that_turn_text_around_are_left_out() -> None:
    click = msgspec.structs.replace(act("click", "i", NOW_MS), context={"col\u202eour": "x\u202ey"})
    page = report(small_inventory([observed(click, "w\u202eeb")]))
    assert "\u202e" not in page
    assert "colour" in page


def test_the_page_needs_nothing_from_outside() -> None:
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", PAGE)
    assert "@import" not in PAGE


def test_every_link_leads_somewhere_and_every_asset_has_a_section() -> None:
    anchors = set(re.findall(r'<section id="([^"]+)"', PAGE))
    assert set(re.findall(r'href="#([^"]+)"', PAGE)) <= anchors
    assert len(anchors) == len(INVENTORY.lineage.nodes)


def test_the_page_says_what_is_unknown_and_where_personal_data_was_found() -> None:
    assert "Unknown: size. the brokers refuse" in PAGE
    assert re.search(r"note</a> \(context\) contains personal data:\s+email in 1 of", PAGE)
    assert "No profiles yet" not in PAGE
    assert "unknown partitions" not in report(small_inventory([], facts=BrokerFacts()))


def test_a_drawing_has_every_node_once_and_edges_between_them() -> None:
    svg = ElementTree.fromstring(lineage_svg(INVENTORY.lineage, lambda node: f"#{node.id}"))
    space = "{http://www.w3.org/2000/svg}"
    assert len(svg.findall(f"{space}a")) == len(INVENTORY.lineage.nodes)
    assert len(svg.findall(f"{space}g/{space}path")) == len(INVENTORY.lineage.edges)
    boxes = [(each.get("x"), each.get("y")) for each in svg.iter(f"{space}rect")]
    assert len(set(boxes)) == len(boxes)


def test_features_with_the_same_neighbours_share_a_node() -> None:
    small = compact(INVENTORY.lineage)
    kinds = [[each.id for each in lineage.nodes if each.kind == "feature"] for lineage in (small, INVENTORY.lineage)]
    assert len(kinds[0]) < len(kinds[1]) / 2
    assert {each.kind for each in small.nodes} == {each.kind for each in INVENTORY.lineage.nodes}
    ids = {each.id for each in small.nodes}
    assert all({each.source, each.target} <= ids for each in small.edges)


def test_a_neighbourhood_has_the_direct_neighbours_only() -> None:
    near = {each.id for each in neighbourhood(INVENTORY.lineage, "topic/trending").nodes}
    assert "source/trending" in near
    assert "list/lists" not in near


@pytest.mark.parametrize(("counts", "points"), [((), 0), ((5,), 0), ((0, 0), 2), ((1, 5, 3), 3)])
def test_a_sparkline_has_a_point_for_each_hour(counts: tuple[int, ...], points: int) -> None:
    found = re.findall(r'points="([^"]*)"', sparkline(counts))
    assert sum(len(each.split()) for each in found) == points


@pytest.mark.browser
def test_the_page_is_accessible_and_its_nodes_lead_to_their_sections(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(PAGE)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 420, "height": 900})
        page.goto(path.as_uri())
        assert accessibility_faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 420
        page.locator("svg.lineage a", has_text="trending").first.click()
        assert "trending" in page.locator("section:target h3").inner_text()
