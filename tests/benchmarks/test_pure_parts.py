"""The parts of the benchmarks that measure nothing: what they compute decides what the figures mean."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from benchmarks.figures import Spread, grows, percentile
from benchmarks.latency import is_held, next_rate
from benchmarks.layers import ELSEWHERE, Stack, by_function, layer, parse
from benchmarks.load import Load
from benchmarks.plot import latency_plot
from benchmarks.report import Results, Section, Table, merged, render
from benchmarks.schedule import Schedule
from benchmarks.shop import Shop
from inference.types import Item
from streams.contracts.serde import decode_interaction


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (90, 90), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_an_unanswered_event_is_slower_than_any_other() -> None:
    load = Load(Schedule(10, 1.0, 1.0), np.array([np.nan] * 10 + [0.01] * 9 + [np.nan]), 0, 0.0, 0.0)
    assert load.missing == 1
    assert load.milliseconds(50) == pytest.approx(10)
    assert load.milliseconds(99) == np.inf
    assert not is_held(load, 0.25, 0.05)


def test_the_schedule_does_not_wait() -> None:
    schedule = Schedule(rate=200, measured_s=2.0, warm_up_s=0.5)
    assert schedule.total == 500
    assert schedule.first_measured == 100
    assert schedule.due_s(100) == pytest.approx(0.5)


def test_latency_that_grows_is_seen() -> None:
    assert grows(np.linspace(0.01, 0.2, 300), 0.05)
    assert not grows(np.full(300, 0.2), 0.05)
    assert not grows([], 0.05)


def test_the_search_for_the_highest_rate_doubles_and_then_bisects() -> None:
    assert next_rate(1000, 0) == 2000
    assert next_rate(1000, 2000) == 1500
    assert next_rate(0, 1000) == 500


def test_a_spread_tells_median_and_range() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).text() == "2 (1 to 3)"


def test_the_page_keeps_what_was_not_measured_again() -> None:
    section = Section(
        title="CPU",
        how="how.",
        tables=(
            Table(
                ("", "µs"),
                (("ours", "250"), ("theirs", "7")),
            ),
        ),
    )
    old = Results(about={"date": "then"}, sections={"b": section, "a": section})
    new = Results(about={"date": "now"}, sections={"b": Section(title="Other", how="", tables=())})
    page = render(merged(old, new, ("a", "b", "c")))
    assert page.index("## CPU") < page.index("## Other")
    assert "| ours   | 250 |\n| theirs |   7 |" in page
    assert "now" in page
    assert "then" not in page


def test_a_stack_belongs_to_the_innermost_layer_that_it_names() -> None:
    raw = (
        "main (streams/worker/service.py:9);observe (streams/engine.py:70);zeros (numpy/core.py:1) 3\nrun (x.py:1) 1\n"
    )
    raw += "run (x.py:1);EpollSelector.select (selectors.py:468) 9\n"
    stacks = parse(raw)
    assert stacks[0] == Stack(
        ("main (streams/worker/service.py)", "observe (streams/engine.py)", "zeros (numpy/core.py)"), 3
    )
    assert len(stacks) == 2
    assert [layer(stack.frames) for stack in stacks] == ["profile", ELSEWHERE]
    assert by_function(stacks, own=True)["zeros (numpy/core.py)"] == 3
    assert "zeros (numpy/core.py)" not in by_function(stacks, own=False)


def test_the_plot_is_well_formed() -> None:
    picture = ET.fromstring(latency_plot((100, 500), {"p50": [5.0, 7.0], "p99": [20.0, 150.0]}))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 2


def test_events_follow_from_the_seed_and_are_valid() -> None:
    shop = Shop((Item(item_id="1", title="Tea"), Item(item_id="2", title="Milk")), ("tea",))
    events = list(shop.events(200, shoppers=3, searches=0.5, seed=7))
    again = list(shop.events(200, shoppers=3, searches=0.5, seed=7))
    assert [event.key for event in events] == [event.key for event in again]
    decoded = [decode_interaction(event.key, event.value) for event in events]
    assert [event.event_id for event in decoded] == [str(number) for number in range(200)]
    assert 60 < sum(event.search for event in events) < 140
    assert all((json.loads(event.value)["type"] == "search") == event.search for event in events)
