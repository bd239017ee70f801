"""The simulated searches and clicks: their laws, on a small shop, and the command."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from inference.types import Item
from streams.contracts.jsonlines import read_events
from streams.contracts.messages import Cart, Click, Interaction, Purchase, Search
from tests.training.datasets.test_converters import chorus
from training.datasets.__main__ import main
from training.datasets.chorus import Judgement
from training.datasets.clicks import Size, interactions, misspelled, short_form, with_others

QUERIES = [f"kind{number} lamp" for number in range(8)]
ITEMS = [Item(item_id=f"{query}-{n}", title=f"{query} {'x ' * n}") for query in QUERIES for n in range(10)]
GRADED = [Judgement(query, f"{query}-{n}", 0 if n in (0, 5) else 3) for query in QUERIES for n in range(10)]
SIZE = Size(searches=4_000, shoppers=200, days=10)


@pytest.fixture(scope="module")
def log() -> list[Interaction]:
    return interactions(ITEMS, GRADED, SIZE, seed=3)


def test_a_seed_gives_the_same_log_in_order_of_time(log: list[Interaction]) -> None:
    assert interactions(ITEMS, GRADED, SIZE, seed=3) == log
    assert interactions(ITEMS, GRADED, SIZE, seed=4) != log
    times = [each.occurred_at for each in log]
    assert times == sorted(times)
    assert len({each.event_id for each in log}) == len(log)
    assert all(each.context == {"synthetic": True} for each in log)
    assert len({each.user_id for each in log}) > 190
    assert {type(each) for each in log} == {Search, Click, Cart, Purchase}


def test_queries_follow_a_zipf_law_and_have_several_spellings(log: list[Interaction]) -> None:
    counts = Counter(each.query for each in log if isinstance(each, Search))
    assert sum(counts.values()) == pytest.approx(4_000, abs=3)
    plain = sorted((counts[query] for query in QUERIES), reverse=True)
    # The first of eight ranks has 1 / (1 + 1/2 + … + 1/8) = .37 of the searches, half of them in the plain spelling.
    assert plain[0] / 4_000 == pytest.approx(0.5 * 0.368, abs=0.03)
    assert counts["kl"] / 4_000 == pytest.approx(0.1, abs=0.02)
    longer = sum(counts[f"{query} x"] for query in QUERIES)
    assert longer / 4_000 == pytest.approx(0.25, abs=0.03)


def test_clicks_depend_on_grade_and_position_and_some_queries_have_a_favourite(log: list[Interaction]) -> None:
    last: dict[str | None, str] = {}
    clicked: Counter[str] = Counter()
    places, bad = np.zeros(10), 0
    for each in log:
        if isinstance(each, Search):
            last[each.session_id] = each.query
        elif isinstance(each, Click):
            clicked[each.item_id] += 1
            place = int(each.item_id[-1])
            places[place] += 1
            bad += place in (0, 5)
    assert bad < 0.05 * places.sum()
    # BM25 prefers short titles, so item 1 is the second on the page and item 9 the last.
    assert places[1:4].sum() > 1.5 * places[7:].sum()
    shares = [
        max(clicked[f"{q}-{n}"] for n in range(10)) / sum(clicked[f"{q}-{n}"] for n in range(10)) for q in QUERIES
    ]
    assert max(shares) > 0.6


def test_a_shopper_who_adds_a_word_wants_the_item_that_has_it() -> None:
    items = [Item(item_id=each.item_id, title=f"{each.item_id[:-2]} no{each.item_id[-1]}") for each in ITEMS]
    added: dict[str | None, str] = {}
    clicks = Counter[bool]()
    for each in interactions(items, GRADED, SIZE, seed=3):
        if isinstance(each, Search):
            added[each.session_id] = each.query.partition(" no")[2]
        elif isinstance(each, Click) and added[each.session_id]:
            clicks[each.item_id.endswith(added[each.session_id])] += 1
    assert clicks[True] > 4 * clicks[False]


def test_spellings() -> None:
    assert short_form("usb c cable") == "ucc"
    text = misspelled("phone charger", np.random.default_rng(0))
    assert text != "phone charger"
    assert sorted(text) == sorted("phone charger")
    assert misspelled("tv", np.random.default_rng(0)) == "tv"


def test_a_smaller_catalogue_has_all_graded_items() -> None:
    graded = GRADED[:5]
    kept = with_others(ITEMS, graded, 20, seed=0)
    assert len(kept) == 20
    assert {each.item_id for each in graded} <= {item.item_id for item in kept}
    assert with_others(ITEMS, graded, 3, seed=0) == ITEMS[:5]


def test_the_command_writes_a_shop(tmp_path: Path) -> None:
    chorus(tmp_path)
    arguments = ["clicks", str(tmp_path), "--output", str(tmp_path / "out"), "--searches", "50", "--shoppers", "5"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    events = [line.message for line in read_events(tmp_path / "out" / "events.jsonl")]
    assert sum(isinstance(event, Search) for event in events) in range(50, 53)
    (tmp_path / "Broad_Query_Set_rated.csv").write_text("query,docid,rating\nlamp,11,3\n")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "required graded items that are in the catalogue" in result.output
