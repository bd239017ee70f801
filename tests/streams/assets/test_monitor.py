"""The monitor names wrong data of one producer within a minute, clears it after the repair, and is silent otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest

from streams.assets.expectations import Expected, Finding
from streams.assets.fields import REFUSED
from streams.assets.profile import ROBOT, UNKNOWN_ITEM, Observation, Stream
from streams.assets.rules import parse_rules
from streams.assets.snapshots import HOUR_MS
from tests.streams.assets import simulated
from tests.streams.assets.simulated import INTERVAL_MS, START_MS, Fault, Shop, Watched, changed, item, refused
from tests.streams.assets.streams import observed

MINUTE = 3
"""Intervals in a minute."""
REFERENCE = 35 * MINUTE
"""Intervals of a reference period with a few to spare: enough for 1,000 messages of each stream and 30 minutes."""


def _of(name: str, fault: Fault) -> Fault:
    return lambda each: fault(each) if each.stream.type == name else each


def _marked(mark: str) -> Fault:
    return lambda each: each._replace(marks=(*each.marks, mark))


def _cents(each: Observation) -> Observation:
    return changed(each, price=None if each.content.price is None else 100 * each.content.price)


def _context(**context: object) -> Fault:
    return lambda each: changed(each, context={**each.content.context, **context})


def _turned(each: Observation) -> Observation:
    assert each.vector is not None
    return each._replace(vector=np.roll(each.vector, 7))


def _every_fourth(fault: Fault) -> Fault:
    return lambda each: fault(each) if each.content.event_id[-1] in "013579"[:3] else each


def _delayed(seconds: float) -> Fault:
    return lambda each: each._replace(at_ms=each.at_ms + round(1000 * seconds))


FAULTS: dict[str, tuple[Fault, str, str, Expected]] = {
    "broken JSON": (_of("click", _every_fourth(refused)), REFUSED, "", Expected.REFUSED),
    "unknown items": (_of("click", _marked(UNKNOWN_ITEM)), "click", "", Expected.UNKNOWN_ITEMS),
    "robots": (_of("click", _marked(ROBOT)), "click", "", Expected.ROBOTS),
    "future": (_of("click", _delayed(-7200)), "click", "", Expected.CLOCK),
    "late": (_of("click", _delayed(7200)), "click", "delay_seconds", Expected.RANGE),
    "no sessions": (
        _of("click", lambda each: changed(each, session_id=None)),
        "click", "session_id", Expected.COMPLETENESS,
    ),
    "a third without sessions": (
        _of("click", _every_fourth(lambda each: changed(each, session_id=None))),
        "click", "session_id", Expected.COMPLETENESS,
    ),
    "cents": (_of("purchase", _cents), "purchase", "price", Expected.RANGE),
    "another unit": (
        _of("purchase", lambda each: changed(each, price=1.2 * (each.content.price or 0) + 30)),
        "purchase", "price", Expected.DRIFT,
    ),
    "another spelling": (_of("click", _context(device="Phone")), "click", "context.device", Expected.VALUES),
    "one value": (_of("click", _context(device="tablet")), "click", "context.device", Expected.DRIFT),
    "another type": (_of("click", _context(page="one")), "click", "context.page", Expected.TYPES),
    "e-mail addresses": (_of("search", lambda each: changed(each, query="a.b@example.org")), "search", "query",
                         Expected.PERSONAL_DATA),
    "another language": (_of("search", _turned), "search", "query", Expected.MEANING),
}  # fmt: skip

SLIGHT = {"another unit", "one value", "a third without sessions"}
"""Faults that 60 shoppers a minute do not prove in the first one."""
SHOP_OF_THE_FAULTS = simulated.RepeatedShop(seed=1)


@pytest.fixture(scope="module")
def learned() -> Watched:
    """A monitor after its reference period."""
    watched = Watched()
    assert watched.run(Shop(), REFERENCE) == []
    return watched


@pytest.fixture
def watched(learned: Watched) -> Watched:
    """A copy of the learned monitor, made of its snapshots: it reads the hour as a whole, as after a restart."""
    return _restarted(learned)


def _restarted(learned: Watched, minutes: float = 30.0) -> Watched:
    copy = Watched(reference_minutes=minutes)
    copy.read(learned.snapshots)
    copy.now_ms, copy.collector = learned.now_ms, type(learned.collector)("again", learned.now_ms)
    copy.opened.clear()
    return copy


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_one_producer_is_named_within_a_minute_and_clears_after_the_repair(
    watched: Watched, name: str
) -> None:
    fault, kind, field, expected = FAULTS[name]
    shop = SHOP_OF_THE_FAULTS
    opened = watched.run(shop, 2 * MINUTE if name in SLIGHT else MINUTE, {"app": fault})
    found = [each for each in opened if (each.type, each.field, each.kind) == (kind, field, expected)]
    assert [each.producer for each in found] == ["app"], [(e.type, e.field, e.kind) for e in opened]
    assert {each.producer for each in opened} == {"app"}
    assert found[0].observed > found[0].limit
    assert found[0].shoppers
    assert found[0].remedy
    assert watched.monitor.findings
    watched.run(shop, 6 * MINUTE)
    assert watched.monitor.findings == []
    assert {(each.kind, each.field) for each in watched.closed} >= {(expected, field)}


def test_a_finding_opens_once_and_stays_open_while_the_fault_lasts(watched: Watched) -> None:
    shop = Shop(seed=2)
    fault, *_ = FAULTS["cents"]
    opened = watched.run(shop, 20 * MINUTE, {"app": fault})
    assert [(each.field, each.kind) for each in opened] == [("price", Expected.RANGE)]
    assert watched.closed == []
    assert [each.since_ms for each in watched.monitor.findings] == [opened[0].since_ms]


def test_wrong_data_are_not_learned_and_acceptance_makes_them_usual(watched: Watched) -> None:
    shop, stream = Shop(seed=3), Stream("clicks", "purchase", "app")
    fault, *_ = FAULTS["cents"]
    before = _price(watched, stream)
    watched.run(shop, 60 * MINUTE, {"app": fault})
    assert watched.monitor.references[stream].skipped > 50 * MINUTE
    assert _price(watched, stream) == pytest.approx(before, rel=0.2)
    watched.monitor.accept(stream)
    assert watched.monitor.findings == []
    opened = watched.run(shop, REFERENCE, {"app": fault})
    assert opened == []
    assert _price(watched, stream) == pytest.approx(100 * before, rel=0.3)
    assert [each.kind for each in watched.run(shop, MINUTE)] == [Expected.RANGE]


def _price(watched: Watched, stream: Stream) -> float:
    column = watched.monitor.references[stream].profile.columns["price"]
    return (column.quantiles([0.5]) or [0.0])[0]


def test_two_monitors_agree_also_after_a_restart(learned: Watched) -> None:
    fault, *_ = FAULTS["no sessions"]
    first = _restarted(learned)
    first.run(Shop(seed=4), 4 * MINUTE, {"app": fault})
    again = Watched()
    for snapshot in first.snapshots:
        again.feed(snapshot)
        if again.monitor.is_due(snapshot.until_ms):
            again.monitor.evaluate(snapshot.until_ms)
    places = [[(e.stream, e.kind, e.field) for e in each.monitor.findings] for each in (first, again)]
    assert places[0]
    assert places[0] == places[1]


def test_without_a_reference_only_the_defaults_are_judged() -> None:
    watched, shop = Watched(), Shop()
    fault, *_ = FAULTS["cents"]
    assert watched.run(shop, 5 * MINUTE, {"app": fault, "web": fault}) == []
    assert [each.kind for each in watched.run(shop, MINUTE, {"app": _of("click", _marked(UNKNOWN_ITEM))})] == [
        Expected.UNKNOWN_ITEMS
    ]
    assert watched.monitor.expectations(Stream("clicks", "purchase", "app"))


def test_a_producer_that_falls_silent_is_named_while_others_go_on(watched: Watched) -> None:
    shop = Shop(seed=5)
    watched.run(shop, 20)
    opened = watched.run(shop, MINUTE + 1, producers=["web"])
    assert {(each.producer, each.kind) for each in opened} == {("app", Expected.SILENCE)}
    assert len(opened) == 3
    watched.run(shop, 4)
    assert watched.monitor.findings == []


def test_a_stream_that_is_not_steady_any_more_is_not_silent(watched: Watched) -> None:
    shop = Shop(seed=6)
    watched.run(shop, 10, producers=["web"])
    assert len(watched.opened) == 3
    watched.opened.clear()
    for _ in range(8):
        watched.run(shop, 5)
        watched.run(shop, 10, producers=["web"])
    assert [each for each in watched.opened if each.kind is Expected.SILENCE] == []


def test_if_everything_is_silent_the_finding_waits_longer(watched: Watched) -> None:
    shop = Shop(seed=7)
    watched.run(shop, 20)
    assert watched.run(shop, 2 * MINUTE, producers=[]) == []
    assert {each.kind for each in watched.run(shop, 2 * MINUTE, producers=[])} == {Expected.SILENCE}


def test_an_hour_with_far_fewer_messages_than_the_same_hour_of_the_week_before_is_a_finding() -> None:
    watched = Watched()
    stream = Stream("clicks", "click", "web")
    for hour, per_interval in ((0, 20.0), (168, 20.0), (336, 1.7), (337, 20.0)):
        if watched.now_ms < (start_ms := START_MS + hour * HOUR_MS):
            watched.now_ms = start_ms
            watched.collector = type(watched.collector)("w", watched.now_ms)
        watched.run(Shop(hour, per_interval), HOUR_MS // INTERVAL_MS, producers=["web"])
        watched.run(Shop(hour, per_interval), 6, producers=["web"])
    kinds = [(each.stream, each.kind) for each in watched.opened if each.kind is Expected.VOLUME]
    assert (stream, Expected.VOLUME) in kinds
    assert len(kinds) == 3


def test_few_messages_are_judged_by_five_minutes() -> None:
    watched = Watched()
    slow = Shop(0, 4.0)
    assert watched.run(slow, 6 * REFERENCE) == []
    fault, *_ = FAULTS["cents"]
    opened = watched.run(slow, 5 * MINUTE, {"app": fault})
    assert ("app", "price") in {(each.producer, each.field) for each in opened}


def test_an_update_of_one_category_is_no_drift_of_the_catalogue() -> None:
    watched = Watched()

    def load(places: Sequence[int], **fields: object) -> list[Finding]:
        vector = np.eye(8, dtype=np.float32)
        return watched.step(
            [
                observed(item(place, **fields), "erp", vector=vector[place % 8], space="m", at_ms=watched.now_ms)
                for place in places
            ]
        )

    for number in range(REFERENCE):
        load(range(number % 7, 400, 7))
    watched.run(Shop(), 2 * MINUTE)
    assert load(range(0, 400, 8)) == []
    assert load(range(0, 400, 8)) == []
    found = [*load(range(400), category=("other",)), *load(range(400), category=("other",))]
    assert {(each.field, each.kind) for each in found} == {("category", Expected.VALUES)}
    assert found[0].examples == ("other",)


def test_rules_change_what_is_learned() -> None:
    rules = parse_rules(
        """
        [[expectation]]
        producer = "app"
        type = "purchase"
        field = "price"
        ignore = true

        [[expectation]]
        producer = "web"
        type = "purchase"
        field = "price"
        kind = "range"
        high = 1e6
        """,
        "rules.toml",
    )
    watched = Watched(rules)
    fault, *_ = FAULTS["cents"]
    shop = Shop()
    watched.run(shop, REFERENCE)
    opened = watched.run(shop, 2 * MINUTE, {"app": fault, "web": fault})
    assert [(each.producer, each.kind) for each in opened] == [("web", Expected.DRIFT)]


def test_findings_go_to_json(watched: Watched) -> None:
    watched.run(Shop(seed=8), MINUTE, {"app": FAULTS["cents"][0]})
    (finding,) = watched.monitor.findings
    assert msgspec.json.decode(msgspec.json.encode(finding), type=Finding) == finding
    assert "usually 0%" in finding.sentence


def test_times_of_messages_do_not_move_the_reference(learned: Watched) -> None:
    watched = _restarted(learned)
    stream = Stream("clicks", "purchase", "web")
    before = watched.monitor.references[stream].profile.messages
    year_ms = 365 * 24 * HOUR_MS

    def misdated(each: Observation) -> Observation:
        return each._replace(at_ms=each.at_ms + (year_ms if each.at_ms % 2 else -each.at_ms))

    watched.run(Shop(seed=9), 2 * MINUTE, {"web": misdated})
    watched.run(Shop(seed=10), 10 * MINUTE)
    reference = watched.monitor.references[stream]
    assert reference.profile.messages > before
    assert reference.span_ms[1] - reference.span_ms[0] < year_ms / 100
