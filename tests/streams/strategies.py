"""Valid messages: Hypothesis strategies, and one complete example of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

VIEW: dict[str, Any] = {
    "type": "view",
    "event_id": "e-1",
    "user_id": "Zoë",
    "occurred_at": "2026-01-31T12:00:00Z",
    "item_id": "sku-1",
    "session_id": "s-1",
    "recommendation_id": "r-1",
    "quantity": 2,
    "price": 9.5,
    "context": {"page": "home", "tags": ["a", 1], "device": {"os": "x"}},
}
SEARCH: dict[str, Any] = {
    "type": "search",
    "event_id": "e-2",
    "user_id": "Zoë",
    "occurred_at": "2026-01-31T12:00:00Z",
    "query": "blue shoes",
}
ITEM: dict[str, Any] = {
    "item_id": "sku-1",
    "title": "Blue shoe",
    "description": "A shoe",
    "category": ["Sport", "Shoes"],
    "brand": "Fjell",
    "price": 9.5,
    "currency": "EUR",
    "in_stock": True,
    "released_at": "2026-01-31T12:00:00+02:00",
    "attributes": {"colour": "blue"},
    "url": "https://shop.example/sku-1",
    "image_url": "https://shop.example/sku-1.jpg",
    "list_price": 12,
}

text = st.text(st.characters(codec="utf-8"), max_size=20)
identifiers = st.text(st.characters(codec="utf-8"), min_size=1, max_size=128)
offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30), timezones=st.one_of(st.just(UTC), offsets))
numbers = st.floats(0, allow_infinity=False, allow_nan=False)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | numbers | text
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4)
)
