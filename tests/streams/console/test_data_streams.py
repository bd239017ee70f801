"""The data behind the Data page: streams, fields, findings, and numbers for people."""

from __future__ import annotations

import pytest

from streams.assets.expectations import Expected, Finding
from streams.assets.history import AssetHistory
from streams.assets.profile import Stream
from streams.console.data_fields import box_of, fields_of
from streams.console.data_findings import cards_of
from streams.console.data_streams import StreamsReader, hourly, timeline
from streams.console.numbers import duration_text, rate_text
from tests.streams.console.streams_of_a_shop import INTERVAL_MS, snapshots

NOW_MS = 1_770_000_000_000
TOPICS = ("clicks", "searches", "items")


@pytest.fixture
def history() -> AssetHistory:
    return history_of(NOW_MS)


def history_of(*times_ms: int) -> AssetHistory:
    """Return a history of three intervals before each time."""
    history = AssetHistory()
    for at_ms in times_ms:
        for each in snapshots(at_ms):
            history.apply(each)
    return history


def test_the_table_has_the_rates_shares_and_delays_of_each_stream(history: AssetHistory) -> None:
    overview = StreamsReader(history, TOPICS).overview("en")
    assert [(row.stream.topic, row.stream.producer, row.stream.type) for row in overview.rows] == [
        ("clicks", "shop-app", "view"), ("clicks", "shop-app", "purchase"), ("clicks", "shop-app", "refused"),
        ("clicks", "shop-web", "view"), ("clicks", "shop-web", "purchase"),
        ("searches", "shop-app", "search"), ("searches", "shop-web", "search"), ("items", "web", "item"),
    ]  # fmt: skip
    app, bought, refused, web, *_ = overview.rows
    assert app.per_second == pytest.approx(5)
    assert app.total == 300
    assert [(each.name, each.share) for each in app.marks] == [("unknown items", 0.25)]
    assert [(each.name, each.share) for each in bought.marks] == [("robots", 0.05)]
    assert web.marks == []
    assert [(each.name, each.share, each.is_code) for each in refused.marks] == [("not_json", 1.0, True)]
    assert refused.refused == pytest.approx(30 / 150)
    assert (refused.completeness, refused.delay) == (None, None)
    assert app.delay == (0.25, 0.25)
    # item_id, event_id, user_id and three keys of the context come with each view; a price with half of the purchases.
    assert app.completeness == 1
    assert bought.completeness == pytest.approx((3 + 0.5) / 4)
    assert (overview.producers, overview.more, overview.total) == (3, 0, 894)
    assert overview.refused == pytest.approx(90 / 894)


def test_the_first_interval_has_the_rate_of_its_own_length() -> None:
    only = AssetHistory()
    for each in snapshots(NOW_MS):
        if each.until_ms == NOW_MS - 2 * INTERVAL_MS:
            only.apply(each)
    assert StreamsReader(only, TOPICS).overview("en").rows[0].per_second == pytest.approx(5)


def test_viewers_share_a_reading_until_a_profile_arrives(history: AssetHistory) -> None:
    reader = StreamsReader(history, TOPICS)
    first = reader.overview("en")
    assert reader.overview("en") is first
    for each in snapshots(NOW_MS + 3 * INTERVAL_MS):
        history.apply(each)
    assert reader.overview("en").total == 2 * first.total


def test_messages_of_an_interval_are_spread_over_the_steps_of_the_line(history: AssetHistory) -> None:
    line = timeline(history.intervals(), NOW_MS)[Stream("clicks", "view", "shop-web")]
    assert len(line) == 30
    assert line[:24] == [0] * 24
    assert line[24:] == pytest.approx([5] * 6)
    later = timeline(history.intervals(), NOW_MS + 5000)[Stream("clicks", "view", "shop-web")]
    assert later[-7:] == pytest.approx([2.5, 5, 5, 5, 5, 5, 2.5])


def test_hours_without_messages_count_as_nothing() -> None:
    history = history_of(NOW_MS, NOW_MS + 2 * 3_600_000)
    assert hourly(history, Stream("clicks", "view", "shop-web"), 4) == [0, 300, 0, 300]


def test_fields_have_types_completeness_values_and_classes(history: AssetHistory) -> None:
    of = Stream("clicks", "view", "shop-app")
    now, hours = history.window(300, only=of)[of], history.last_hours(only=of)[of]
    fields = {field.name: field for field in fields_of(of.type, now, hours)}
    assert list(fields)[:4] == ["event_id", "user_id", "session_id", "recommendation_id"]
    assert (fields["item_id"].kind, fields["item_id"].required, fields["item_id"].now) == ("label", True, 1.0)
    assert len(fields["item_id"].frequent) == 5
    assert fields["user_id"].distinct == "40"
    assert (fields["user_id"].personal, fields["user_id"].frequent) == ("identifies a shopper", [])
    assert (fields["context.device"].kind, fields["context.device"].frequent[0].text) == ("text", "phone")
    page = fields["context.page"].box
    assert page is not None
    assert page.left == pytest.approx(25, abs=4)
    assert page.right == pytest.approx(75, abs=4)
    note = fields["context.note"]
    assert (note.personal, note.is_found, note.frequent) == ("e-mail addresses", True, [])


def test_equal_numbers_have_a_box_in_the_middle(history: AssetHistory) -> None:
    of = Stream("items", "item", "web")
    box = box_of(history.last_hours(only=of)[of].columns["price"])
    assert box is not None
    assert (box.left, box.median, box.right, box.median_text) == (50, 50, 50, "99.5")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.00042, "0.42 ms"), (59.9, "59.9 s"), (5400, "1.5 h"), (-2, "-2 s"), (2.81e8, "3,252 d")],
)
def test_durations_have_the_unit_of_their_size(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_rates_are_by_a_time_in_which_something_comes() -> None:
    assert [rate_text(each) for each in (1234.0, 1.0, 0.999, 0.01, 0.0)] == [
        "1,234/s",
        "1/s",
        "59.9/min",
        "36/h",
        "0/s",
    ]


def test_old_findings_have_a_date() -> None:
    finding = Finding(
        topic="clicks", type="view", producer="app", field="price", kind=Expected.VALUES, observed=0.5, limit=0.1,
        since_ms=NOW_MS, severity="medium", sentence="half is new", shoppers="none", remedy="ask", examples=("a\x07b",),
    )  # fmt: skip
    (new,), (old,) = cards_of([finding], NOW_MS + 1000), cards_of([finding], NOW_MS + 10**8)
    assert (new.since, old.since) == ("02:40:00", "2026-02-02 02:40")
    assert (new.title, new.is_high, new.examples) == ("views", False, ["ab"])
