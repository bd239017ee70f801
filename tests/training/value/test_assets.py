"""The assets of a shop: which there are, which the system reads, and what the lists lose without them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from inference.bundle import Bundle
from inference.ranking.features import FEATURES
from inference.retrieval.sources import REASONS
from streams.value.report import AssetValue
from tests.training.value.small_study import EVERYTHING, SHOP, context_of, shop_events, study_of
from training.value import losses
from training.value.assets import KINDS, assets_of, groups
from training.value.losses import asset_values
from training.value.planning import Costs
from training.value.study import METRICS, Job, Study, ranking
from training.value.variants import Variant


@pytest.fixture(scope="module")
def study(bundle: Bundle) -> Study:
    """A shop whose items have a price and a seller, and whose events have a quantity and a context."""
    items = [msgspec.structs.replace(item, seller="s", attributes={"n": str(n)})
             for n, item in enumerate(SHOP)]  # fmt: skip
    events = [
        msgspec.structs.replace(
            each, context={"page": "home"}, **({"quantity": 2.0} if each.type == "purchase" else {})
        )
        for each in shop_events()
    ]
    return study_of(bundle, items=items, events=events)


def test_each_kind_lists_what_is_there_and_what_the_system_reads(study: Study) -> None:
    found = assets_of(study, study.part(EVERYTHING), [*KINDS])
    states = {(each.kind, each.name): each.state for each in found}
    assert states["type", "view"] == states["type", "search"] == "measured"
    assert states["type", "cart"] == "absent"
    assert states["field", "user_id"] == states["field", "query"] == states["field", "occurred_at"] == "measured"
    assert states["field", "quantity"] == states["context", "page"] == "not read"
    assert states["field", "recommendation_id"] == states["field", "session_id"] == "absent"
    assert (
        states["attribute", "title"] == states["attribute", "price"] == states["attribute", "attributes"] == "measured"
    )
    assert states["attribute", "seller"] == "not read"
    assert states["attribute", "brand"] == "absent"
    assert {name for kind, name in states if kind == "feature"} == {*FEATURES}
    assert [name for kind, name in states if kind == "group"] == [*REASONS]
    assert ("source", "sequence") not in states  # the shipped bundle has no sequence model
    history = [each for each in found if each.kind == "history"]
    part = study.part(EVERYTHING)
    assert sum(each.size or 0 for each in history) == part.start
    for each in history:
        dropped = set(range(len(part.log))) - set(losses_kept(study, each.variant))
        assert len(dropped) == each.size
        assert max(dropped) < part.start


def losses_kept(study: Study, variant: Variant) -> list[int]:
    from training.value.variants import remaining_events

    part = study.part(EVERYTHING)
    return list(remaining_events(part.log, variant, part.start).numbers.tolist())


def test_what_is_not_read_changes_no_list(study: Study) -> None:
    whole = study.replay(study.baseline_job(EVERYTHING))
    for variant in (Variant(fields=frozenset({"quantity"})), Variant(context=frozenset({"page"})),
                    Variant(attributes=frozenset({"seller"}))):  # fmt: skip
        assert ranking(study.replay(Job(scope=EVERYTHING, variant=variant))).tolist() == ranking(whole).tolist()


def test_the_loss_of_an_asset_is_the_paired_difference_of_two_replays(study: Study, tmp_path: Path) -> None:
    notes: list[str] = []
    section = asset_values(context_of(study, tmp_path, "types", "fields", "sources", notes=notes))
    assert section is not None
    values = {(each.kind, each.name): each for each in section.found.values}
    whole = ranking(study.replay(study.baseline_job(EVERYTHING)))
    part = study.part(EVERYTHING)
    for kind, name, variant in (("type", "view", Variant(types=frozenset({"view"}))),
                                ("field", "user_id", Variant(fields=frozenset({"user_id"})))):  # fmt: skip
        other = ranking(study.replay(Job(scope=EVERYTHING, variant=variant)))
        found = values[kind, name]
        assert found.cases == len(part.cases)
        for column, metric in enumerate(METRICS):
            expected = (whole - other)[:, column].mean()
            assert found.loss[metric].value == pytest.approx(expected, abs=1e-9)
            assert found.loss[metric].low <= expected <= found.loss[metric].high
        assert found.model == "frozen"
        assert found.whole is not None
        assert found.whole.value == pytest.approx(whole[:, 0].mean())
    assert any(each.loss["mrr"].value != 0 for each in section.found.values if each.kind == "source")
    assert values["type", "cart"].state == "absent"
    assert not values["type", "cart"].loss
    assert "replays" in notes[0]
    assert "most valuable asset" in section.sentence()


def test_a_feature_that_is_absent_loses_what_the_masked_ranker_loses(study: Study) -> None:
    result = study.replay(study.baseline_job(EVERYTHING, ablated=True))
    assert ranking(result).tolist() == ranking(study.replay(study.baseline_job(EVERYTHING))).tolist()
    # Without all sources' votes a list changes; without a feature that is 0 anyway, none does.
    assert ranking(result, "source:sessions").shape == ranking(result).shape
    assert (ranking(result, "group:trend") != ranking(result)).any()
    assert ranking(result, "feature:bought").shape == (len(study.part(EVERYTHING).cases), len(METRICS))


def test_periods_of_history_are_measured_on_the_first_days_of_the_test(study: Study) -> None:
    part = study.part(EVERYTHING)
    assets = [each for each in assets_of(study, part, ["history", "types"]) if each.state == "measured"]
    results = {"": study.replay(study.baseline_job(EVERYTHING))}
    results |= {each.variant.key: study.replay(study.job(EVERYTHING, each.variant)) for each in assets}
    fewest, losses.FEWEST_RECENT = losses.FEWEST_RECENT, 1
    days, losses.RECENT_DAYS = losses.RECENT_DAYS, 0
    try:
        at_ms = part.log.at_ms
        losses.RECENT_DAYS = 1
        expected = int((at_ms[part.cases.at] < at_ms[part.start] + 86_400_000).sum())
        values: list[AssetValue] = losses.values_of(study, part, assets, results)
    finally:
        losses.FEWEST_RECENT, losses.RECENT_DAYS = fewest, days
    assert {each.cases for each in values if each.kind == "history"} == {min(expected, len(part.cases))}
    assert {each.cases for each in values if each.kind == "type"} == {len(part.cases)}


def test_groups_for_shapley_values_are_those_that_the_log_has(study: Study) -> None:
    found = groups(study, study.part(EVERYTHING))
    assert [*found] == ["search", "view", "purchase", "texts", "labels", "prices", "shopper ids", "old history"]
    assert found["prices"][1] == Variant(attributes=frozenset({"price"}), fields=frozenset({"price"}))


def test_a_shop_can_have_rankers_fitted_without_each_asset(bundle: Bundle, tmp_path: Path) -> None:
    fitted = study_of(bundle, retrained=True)
    section = asset_values(context_of(fitted, tmp_path, "types", "sources"))
    assert section is not None
    models = {each.kind: each.model for each in section.found.values if each.loss}
    assert models == {"type": "retrained", "source": "frozen"}
    frozen = study_of(bundle)
    view = Variant(types=frozenset({"view"}))
    one, other = (ranking(each.replay(each.job(EVERYTHING, view))) for each in (fitted, frozen))
    assert not np.array_equal(one, other)


def test_a_shop_without_times_cannot_fit_a_ranker_and_has_that_of_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    study = study_of(bundle, retrained=True)
    section = asset_values(context_of(study, tmp_path, "fields"))
    assert section is not None
    models = {each.name: each.model for each in section.found.values if each.loss}
    assert models["occurred_at"] == "bundle"
    assert models["user_id"] == "retrained"


def test_costs_are_those_of_the_timed_replay() -> None:
    assert Costs.of([1.0, 8.0, 2.0], EVERYTHING._replace(events=80, lists=20)) == Costs(1.0, 0.1, 0.1)
