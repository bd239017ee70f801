"""Tables of the inventory for a terminal: findings where they belong, and texts without control characters."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

import msgspec
import pytest
from rich.console import Console, RenderableType

from streams.assets.expectations import Expected, Finding
from streams.assets.inventory import Inventory
from streams.commands.assets_view import asset_views, finding_views, overview
from tests.streams.assets.inventories import messages, small_inventory
from tests.streams.assets.streams import observed
from tests.streams.shoppers import NOW_MS, act

FINDING = Finding(
    topic="clicks", type="click", producer="web\x1b[31m", field="context.device", kind=Expected.VALUES, observed=0.4,
    limit=0.1, since_ms=0, severity="high", sentence="40% are unknown", shoppers="lists", remedy="repair it",
    examples=("Phone",),
)  # fmt: skip


def _text(views: Iterable[RenderableType]) -> str:
    console = Console(file=StringIO(), width=240)
    for view in views:
        console.print(view)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.fixture
def inventory() -> Inventory:
    return small_inventory(findings=(FINDING,))


def test_the_overview_and_each_asset_show_their_findings(inventory: Inventory) -> None:
    shown = _text(overview(inventory.assets, inventory))
    assert "web" in shown
    assert "40% are unknown" in shown
    about = {each.id for each in inventory.assets if "40% are unknown" in _text(asset_views(each, inventory))}
    assert about == {"topic/clicks", "event/click", "context/device"}
    assert "40% are unknown (Phone)" in _text(finding_views([FINDING]))
    assert _text(finding_views([])) == ""


def test_no_text_of_a_producer_controls_the_terminal() -> None:
    evil = "\x1b[2Jcolour\u202e"
    made = [observed(msgspec.structs.replace(act("click", "i", NOW_MS), context={evil: "x"}))]
    inventory = small_inventory([*messages(), *made], findings=(FINDING,))
    (asset,) = [each for each in inventory.assets if each.name == evil]
    shown = _text([*overview(inventory.assets, inventory), *asset_views(asset, inventory)])
    assert "colour" in shown
    assert not {"\x1b", "\u202e"} & set(shown)
