"""The benchmarks' computations: percentiles, rates, CPU time, layers, and the page."""

from __future__ import annotations

import itertools
import json
import os
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks import chinese
from benchmarks.figures import Spread, grows, percentile
from benchmarks.held import is_held
from benchmarks.layers import ELSEWHERE, EVERY_LAYER, Stack, by_function, layer, parse
from benchmarks.load import RECEIVER, SENDER, Load, Watched, unanswered
from benchmarks.plot import latency_plot
from benchmarks.report import Results, Section, Table, merged, render
from benchmarks.schedule import Schedule
from benchmarks.shop import Shop, variants
from benchmarks.usage import LEFT, MAIN, Usage, by_thread, gathered, usage_of
from inference.types import Item
from streams.contracts.serde import decode_interaction


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (90, 90), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_an_unanswered_event_counts_as_the_slowest() -> None:
    load = Load(Schedule(10, 1.0, 1.0), np.array([np.nan] * 10 + [0.01] * 9 + [np.nan]), 0, 0.0, 0.0)
    assert load.missing == 1
    assert load.milliseconds(50) == pytest.approx(10)
    assert load.milliseconds(99) == np.inf
    assert not is_held(load, 0.25, 0.05, 0.01)


def held(latencies: list[float], *, fallbacks: int = 0, limit_s: float = 0.25) -> bool:
    load = Load(Schedule(100, len(latencies) / 100, 0.0), np.array(latencies), fallbacks, 0.0, 0.0)
    return is_held(load, limit_s, 0.05, 0.01)


def test_a_rate_is_held_if_lists_are_in_time_and_ranked() -> None:
    assert held([0.01] * 300)
    assert held([0.01] * 298 + [0.4] * 2), "one in a hundred may be late"
    assert not held([0.01] * 290 + [0.4] * 10)
    assert not held([0.1] * 300, limit_s=0.05)
    assert held([0.01] * 300, fallbacks=2)
    assert not held([0.01] * 300, fallbacks=3), "a fallback is fast because it was not ranked"
    assert not held([0.01] * 299 + [np.nan])
    assert not held([0.001 * number / 2 for number in range(300)]), "the worker falls behind"


def test_lag_is_the_number_of_due_events_without_an_answer() -> None:
    schedule = Schedule(10, 1.0, 0.0)
    latencies = np.array([0.05] * 7 + [0.35, 0.25, np.nan])
    assert unanswered(latencies, schedule, 1.0) == 3
    assert unanswered(latencies, schedule, 0.6) == 1
    assert Load(schedule, latencies, 0, 0.0, 0.0).lag == 3


def test_cpu_time_is_divided_by_the_events_of_each_process() -> None:
    before = {name: Usage(0.0, 1.0, {}) for name in (SENDER, RECEIVER)}
    after = {name: Usage(1.0, 1.5, {}) for name in (SENDER, RECEIVER)}
    watched = Watched(before=before, after=after, sent=1_000, answered=500)
    assert watched.micros(SENDER) == pytest.approx(500)
    assert watched.micros(RECEIVER) == pytest.approx(1_000)
    assert np.isnan(Watched(before=before, after=after, sent=1, answered=0).micros(RECEIVER))


def test_cpu_time_is_reported_by_thread_and_pool() -> None:
    before = Usage(0.0, 10.0, {(1, MAIN): 4.0, (2, "scorer_0"): 3.0})
    after = Usage(1.0, 11.0, {(1, MAIN): 4.5, (2, "scorer_0"): 3.2, (3, "scorer_1"): 0.1, (4, "rocksdb:low0"): 0.01})
    threads = by_thread(before, after)
    assert threads == pytest.approx({MAIN: 0.5, "scorer": 0.3, "rocksdb:low": 0.01, LEFT: 0.19})
    assert gathered(threads, 0.02) == pytest.approx({MAIN: 0.5, "scorer": 0.3, LEFT: 0.2})


def test_the_usage_of_a_process_includes_its_main_thread() -> None:
    first = usage_of(os.getpid())
    sum(range(1_000_000))
    second = usage_of(os.getpid())
    assert second.seconds >= first.seconds > 0
    assert not second.threads or MAIN in {name for _, name in second.threads}


def test_the_schedule_has_fixed_due_times() -> None:
    schedule = Schedule(rate=200, measured_s=2.0, warm_up_s=0.5)
    assert schedule.total == 500
    assert schedule.first_measured == 100
    assert schedule.due_s(100) == pytest.approx(0.5)


def test_growing_latency_is_detected() -> None:
    assert grows(np.linspace(0.01, 0.2, 300), 0.05)
    assert not grows(np.full(300, 0.2), 0.05)
    assert not grows([], 0.05)


def test_a_spread_is_median_and_range() -> None:
    assert Spread.of([3.0, 1.0, 2.0]).text() == "2 (1 to 3)"


def test_the_page_keeps_sections_that_were_not_measured_again() -> None:
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


def test_a_section_has_its_command_date_and_duration() -> None:
    section = Section(
        title="CPU", how="how.", tables=(), command="python -m benchmarks --only cpu", date="now", minutes=2
    )
    assert "`python -m benchmarks --only cpu`, now, 2 min." in render(Results(about={}, sections={"a": section}))


def test_a_large_shop_has_variants_of_the_items() -> None:
    shop = Shop((Item(item_id="1", title="Tea"), Item(item_id="2", title="Milk")), ("tea",))
    large = variants(shop, 5)
    assert large.items[:2] == shop.items
    assert len({item.item_id for item in large.items}) == len({item.title for item in large.items}) == 5
    assert large.searches == shop.searches


def test_a_stack_belongs_to_its_innermost_layer() -> None:
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


def test_a_kernel_belongs_to_the_layer_of_its_caller() -> None:
    raw = "nearest (inference/retrieval/nearest.py:7);__call__ (inference/kernels/compiler.py:3) 4"
    (stack,) = parse(raw)
    assert layer(stack.frames) == "retrieve"
    assert by_function([stack], own=True) == {"kernel of nearest (inference/retrieval/nearest.py)": 4}


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("features (inference/ranking/feature_matrix.py)", "score"),
        ("occlude (inference/ranking/occlusion.py)", "choose and explain"),
        ("retrieve (inference/pipeline.py)", "retrieve"),
        ("merge (inference/pipeline.py)", "retrieve"),
        ("find (inference/kernels/keytable.py)", "retrieve"),
        ("rank (inference/pipeline.py)", "score"),
        ("fold (streams/engine.py)", "profile"),
        ("read (streams/state/table.py)", "profile"),
        ("open (streams/protection.py)", "profile"),
        ("compose (streams/engine.py)", "encode the list"),
        ("add (streams/items/trending.py)", "trends and behaviour"),
        ("item_transition (streams/behaviour/messages.py)", "trends and behaviour"),
        ("publish (streams/worker/cooccurrence_path.py)", "trends and behaviour"),
        ("send (streams/kafka/producer.py)", "produce"),
        ("flush (streams/worker/checkpoint.py)", "in flight and metrics"),
        ("send (aiokafka/conn.py)", "network"),
    ],
)
def test_every_part_of_the_event_path_has_a_layer(frame: str, expected: str) -> None:
    assert layer(("run (streams/worker/faust/app.py)", frame)) == expected
    assert expected in EVERY_LAYER


def test_a_plotted_line_ends_before_a_rate_that_was_not_held() -> None:
    picture = ET.fromstring(latency_plot((100, 500), {"p50": [5.0, 7.0], "p99": [20.0, np.inf], "none": [np.inf] * 2}))
    lines = picture.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 1]


def test_the_plot_is_valid_svg_with_a_line_for_each_series() -> None:
    picture = ET.fromstring(latency_plot((100, 500), {"p50": [5.0, 7.0], "p99": [20.0, 150.0]}))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 2


def test_events_are_deterministic_and_valid() -> None:
    shop = Shop((Item(item_id="1", title="Tea"), Item(item_id="2", title="Milk")), ("tea",))
    events = list(shop.events(200, shoppers=3, searches=0.5, seed=7))
    again = list(shop.events(200, shoppers=3, searches=0.5, seed=7))
    assert [event.key for event in events] == [event.key for event in again]
    decoded = [decode_interaction(event.key, event.value) for event in events]
    assert [event.event_id for event in decoded] == [str(number) for number in range(200)]
    times = [event.occurred_at for event in decoded]
    assert all(one < other for one, other in itertools.pairwise(times)), "events of one time have no order"
    assert times[-1] < datetime.now(UTC)
    (named,) = shop.events(1, shoppers=3, searches=0.0, seed=7, run="5-")
    assert decode_interaction(named.key, named.value).event_id == "5-0", "lists of an earlier run are told apart"
    assert 60 < sum(event.search for event in events) < 140
    assert all((json.loads(event.value)["type"] == "search") == event.search for event in events)


def test_chinese_searches_are_the_tags_of_titles_and_graded_titles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tags = {"红": "O", "木": "O", "安": "B-HPPX", "踏": "I-HPPX", "跑": "B-HCCX", "鞋": "I-HCCX"}
    title = "".join(f"{letter} {tag}\n" for letter, tag in tags.items())
    (tmp_path / "ner_dev.txt").write_text(f"{title}\n新 O\n{title}\n灯 O\n", encoding="utf-8")
    row = {"query": "跑鞋", "title": "安踏跑鞋", "label": "2"}
    (tmp_path / "qbqtc_dev.json").write_text(json.dumps(row) + "\n", encoding="utf-8")
    products, branded = chinese.taobao(tmp_path)
    assert products.titles == ["红木安踏跑鞋", "新红木安踏跑鞋", "灯"]
    assert (products.searches, branded.searches) == ([("跑鞋", {0: 1, 1: 1})], [("安踏跑鞋", {0: 1, 1: 1})])
    chinese.main(tmp_path)
    assert "(shipped)   1.0000" in capsys.readouterr().out
