"""Exposure by group in an evaluation, and the cost of a fairness setting."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console

from inference.bundle import Bundle
from streams.items.encoded import encode_catalogue
from streams.settings import load_settings
from tests.training.evaluation.small_shop import ITEMS, random_events
from tests.training.evaluation.test_run import silent
from training.evaluation.baseline_pass import Ranking
from training.evaluation.cases import cases
from training.evaluation.exposure import Groups, concentrations, exposures
from training.evaluation.page import page
from training.evaluation.plan import Options, System
from training.evaluation.report import Report
from training.evaluation.run import evaluate
from training.evaluation.table import show
from training.log import read_log

GAP_MS = 30 * 60_000
SOLD = [replace(item, seller="small" if number == 7 else "large") for number, item in enumerate(ITEMS)]


@pytest.fixture(scope="module")
def report(bundle: Bundle) -> Report:
    settings = load_settings({"list_size": 7, "trending_interval_seconds": 300, "behaviour_interval_seconds": 300})
    system = System(settings, bundle, SOLD, encode_catalogue(bundle, SOLD))
    options = Options(
        protocol="next-item", measured_at=datetime(2026, 1, 1, tzinfo=UTC), ks=(1, 7), test_share=0.5, ablation=50
    )
    return evaluate(system, random_events(21, 160), options, silent)


def test_the_exposure_of_hand_made_lists() -> None:
    log = read_log(random_events(3, 60), SOLD, GAP_MS)
    found = cases(log, log.acts(), "next-item", 0)
    groups = Groups(log, SOLD, len(log))
    lists = np.full((len(found), 2), -1, dtype=np.int32)
    lists[:, 0] = 0
    lists[0, 1] = 7
    ranking = Ranking("ours", lists, np.zeros(0))
    shown = {(each.by, each.name): each.shown["ours"] for each in exposures(groups, [ranking], found)}
    second = 1 / np.log2(3)
    assert shown["seller", "small"] == pytest.approx(second / (len(found) + second))
    assert shown["seller", "top"] + shown["seller", "small"] == pytest.approx(1)
    first_seen = {item: int(np.flatnonzero(log.item == item)[0]) for item in (0, 7)}
    new = sum(first_seen[0] >= at for at in found.at.tolist()) + second * (first_seen[7] >= int(found.at[0]))
    assert shown["age", "no action"] <= (new + 1) / (len(found) + second)
    spread = concentrations(groups, [ranking])["ours"]
    assert spread.coverage == pytest.approx(2 / 8)
    assert 0.7 < spread.gini < 1


def test_shares_sum_to_one_and_every_kind_of_group_is_reported(report: Report) -> None:
    for by in ("age", "popularity", "seller"):
        parts = [each for each in report.exposure if each.by == by]
        assert sum(each.items for each in parts) == pytest.approx(1)
        for row in report.rows:
            if row.group != "source":
                assert sum(each.shown[row.name] for each in parts) == pytest.approx(1)
    assert set(report.concentration) == {row.name for row in report.rows if row.group != "source"}


def test_fairness_0_is_the_system_and_more_fairness_shows_more_protected_items(report: Report) -> None:
    fairness = [each.fairness for each in report.fairness]
    assert fairness == sorted(fairness)
    none, *more = report.fairness
    assert none.fairness == 0
    assert all(each.value == 0 for each in none.cost.values())
    assert [each.protected for each in report.fairness] == sorted(each.protected for each in report.fairness)
    assert more[-1].protected > none.protected
    for each in report.fairness:
        for metric, found in each.metrics.items():
            assert found.value - none.metrics[metric].value == pytest.approx(each.cost[metric].value)


def test_the_table_and_the_page_show_exposure_and_cost(report: Report) -> None:
    console = Console(width=100, record=True)
    show(report, console)
    text = console.export_text()
    assert "Exposure of items" in text
    assert "seller: small" in text
    assert "Cost of INTENTSTREAM_FAIRNESS" in text
    html = page(report)
    assert "Cost of fairness: HR@7 against the exposure of protected items" in html
    assert "seller: small" in html


def test_groups_that_say_nothing_are_not_printed(report: Report) -> None:
    # Eight items are in eight of the ten tenths. Without sellers, all of them are in the group `none`.
    unsold = [
        replace(each, items=float(each.name == "none"), shown=dict.fromkeys(each.shown, float(each.name == "none")))
        if each.by == "seller"
        else each
        for each in report.exposure
    ]
    console = Console(width=100, record=True)
    show(replace(report, exposure=unsold), console)
    for text in (console.export_text(), page(replace(report, exposure=unsold))):
        tenths = [number for number in range(1, 11) if f"popularity, tenth {number} of 10" in text]
        assert tenths == [1, 2, 3, 4, 6, 7, 8, 9]
        assert "seller: " not in text
        assert "Gini" in text
    assert {each.name for each in report.exposure if each.by == "popularity"} == set(map(str, range(1, 11)))


def test_a_group_that_no_list_shows_is_printed_if_it_has_items(report: Report) -> None:
    hidden = [
        replace(each, shown=dict.fromkeys(each.shown, 0.0)) if each.name == "small" else each
        for each in report.exposure
    ]
    console = Console(width=100, record=True)
    show(replace(report, exposure=hidden), console)
    assert "seller: small" in console.export_text()
