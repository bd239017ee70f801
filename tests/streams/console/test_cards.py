"""Cards of items: title, price and link."""

from __future__ import annotations

import msgspec

from inference.types import Item
from streams.console.cards import HUES, card_of, price_text
from tests.streams.console.harness import console_service
from tests.streams.shoppers import item_of


async def test_cards_of_unknown_and_plain_items() -> None:
    async with console_service() as (harness, client):
        assert card_of(harness.live, "gone").title == "gone"
        card = card_of(harness.live, "i1")
        assert 0 <= card.hue < HUES
        await harness.add(msgspec.structs.replace(item_of("i99"), title="Milk 1 gal <b>x</b>"))
        assert card_of(harness.live, "i99").title == "Milk 1\u00a0gal x"
        url = "https://shop.example/tea?a=1&b=2"
        tea = Item(item_id="p2.5", title="Tea", price=2.5, list_price=2.5, currency="EUR", url=url)
        await harness.add(tea, msgspec.structs.replace(tea, item_id="p4.0", list_price=4.0))
        assert [card_of(harness.live, each).list_price for each in ("p2.5", "p4.0")] == ["", "€4.00"]
        page = (await client.get("/console/item?id=p4.0")).text
        assert "<s>" in page
        assert 'href="https://shop.example/tea?a=1&amp;b=2" rel="noopener noreferrer"' in page
        prices = ((2.5, "USD"), (9.9, "CNY"), (1234.0, "SEK"), (1.0, None), (None, "USD"))
        assert [price_text(*each) for each in prices] == ["$2.50", "¥9.90", "1,234.00 SEK", "1.00", ""]
