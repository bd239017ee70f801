"""Lists from fewer data are made at the moments of the whole log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from inference.bundle import Bundle
from inference.queries import QueryBatch
from streams.contracts.messages import Interaction, Purchase, View
from streams.replay import Replay
from tests.training.value.small_study import EVERYTHING, SHOP, study_of
from training.evaluation.cases import Cases, cases
from training.evaluation.metrics import NOTHING
from training.evaluation.system_pass import SystemPass, item_numbers
from training.log import read_log
from training.value.lists import ARRIVAL, FULL, ListPass, ListResults, full_ranking, moments, sums
from training.value.study import Study
from training.value.variants import COMPLETE, Variant, remaining_events

START = datetime(2026, 1, 1, tzinfo=UTC)


def listed(study: Study, variant: Variant) -> ListResults:
    part = study.part(EVERYTHING)
    kept = remaining_events(part.log, variant, part.start)
    replay = Replay(study.settings, study.bundle, study.records(variant.attributes))
    list_pass = ListPass(replay, item_numbers(replay, part.log), study.options.k, full_ranking)
    return list_pass.run(kept, moments(part.log, part.cases, kept, is_anonymous="user_id" in variant.fields))


@pytest.mark.parametrize("protocol", ["next-item", "next-basket", "search"])
def test_with_all_data_the_lists_are_those_of_the_evaluation(bundle: Bundle, protocol: str) -> None:
    study = study_of(bundle, protocol=protocol)
    part = study.part(EVERYTHING)
    replay = Replay(study.settings, bundle, study.records())
    expected = SystemPass(replay, part.log, part.cases, study.options.k, np.zeros(0, dtype=np.int64))
    found = listed(study, COMPLETE)
    assert found.lists[FULL].tolist() == expected.run(lambda _: None).ours[0].lists.tolist()
    assert (found.lists[FULL] != NOTHING).any()
    assert (found.predicted[FULL] > 0).any()


def events() -> list[Interaction]:
    """A session of a view, a purchase and two views; and one of a view and a purchase."""
    made: list[Interaction] = []
    for number, (kind, item, minute) in enumerate(
        [("view", 0, 0), ("buy", 1, 1), ("view", 2, 2), ("view", 3, 3), ("view", 4, 600), ("buy", 5, 601)]
    ):
        at = START + timedelta(minutes=minute)
        shared: dict[str, Any] = {"event_id": f"e{number}", "user_id": "u", "occurred_at": at}
        shared["item_id"] = f"i{item}"
        made.append(View(**shared) if kind == "view" else Purchase(**shared))
    return made


def later_events() -> list[Interaction]:
    return [
        msgspec.structs.replace(
            each, event_id=f"{each.event_id}, later", occurred_at=each.occurred_at + timedelta(days=1)
        )
        for each in events()
    ]


def small_cases() -> Cases:
    log = read_log(events(), SHOP, 30 * 60_000)
    return cases(log, log.acts(), "next-item", 0)


def test_a_moment_whose_event_is_missing_has_the_list_of_the_event_before_or_of_an_arrival() -> None:
    log = read_log(events(), SHOP, 30 * 60_000)
    found = small_cases()
    assert found.at.tolist() == [0, 1, 2, 4]
    whole_shop = moments(log, found, remaining_events(log, COMPLETE, 0))
    assert whole_shop.answers.tolist() == [0, 1, 2, 4]
    bought = moments(log, found, remaining_events(log, Variant(types=frozenset({"view"})), 0))
    # Only e1 and e5 are left. The first list of each session is that of an arrival.
    assert bought.answers.tolist() == [ARRIVAL, 0, 0, ARRIVAL]
    assert bought.before.tolist() == [0, 1, 1, 1]
    assert bought.user_ids == ["u"] * 4
    anonymous = moments(log, found, remaining_events(log, COMPLETE, 0), is_anonymous=True)
    assert anonymous.user_ids == ["u/0", "u/0", "u/0", "u/1"]


def test_lists_without_views_are_those_of_a_replay_of_the_purchases(bundle: Bundle) -> None:
    study = study_of(bundle, events=[*events(), *later_events()])
    part = study.part(EVERYTHING)
    variant = Variant(types=frozenset({"view"}))
    kept = remaining_events(part.log, variant, part.start)
    numbers = listed(study, variant).lists[FULL]
    wanted = moments(part.log, part.cases, kept)
    for case in range(len(part.cases)):
        replay = Replay(study.settings, bundle, study.records())
        query: QueryBatch
        if wanted.answers[case] == ARRIVAL:
            replay.learn(kept.interactions[: wanted.before[case]])
            query = replay.arrive("u", int(wanted.at_ms[case]))
        else:
            *_, folded = replay.fold(kept.interactions[: wanted.answers[case] + 1])
            query = folded.queries.take([len(folded.queries) - 1])
        expected = replay.recommender.rank_rows(replay.recommender.retrieve(query))
        names = item_numbers(replay, part.log)[expected.rows].tolist()
        # The pass updates what all shoppers taught between batches, which a few events do not show.
        assert {n for n in numbers[case].tolist() if n != NOTHING} == {*names}


def test_without_any_event_shoppers_arrive_at_an_unknown_shop(bundle: Bundle) -> None:
    study = study_of(bundle)
    types = study.part(EVERYTHING).types
    found = listed(study, Variant(types=types)).lists[FULL]
    assert len({tuple(row) for row in found.tolist()}) == 1
    assert (found != listed(study, COMPLETE).lists[FULL]).any()


def test_without_shoppers_ids_a_session_is_remembered_and_no_more(bundle: Bundle) -> None:
    study = study_of(bundle)
    whole_shop, anonymous = listed(study, COMPLETE), listed(study, Variant(fields=frozenset({"user_id"})))
    assert (whole_shop.lists[FULL] != anonymous.lists[FULL]).any()


def test_a_copied_replay_ranks_as_a_new_one_and_learns_alone(bundle: Bundle) -> None:
    study = study_of(bundle)
    events_of_all = study.interactions

    def lists(replay: Replay) -> list[list[tuple[str, float]]]:
        return [[(item.item_id, item.score) for item in each.items] for each in replay.recommend(events_of_all)]

    expected = lists(Replay(study.settings, bundle, study.records()))
    first, second = study.new_replay(), study.new_replay()
    assert lists(first) == expected
    # The first one has learned everything. The others know nothing of it.
    assert lists(second) == expected
    assert lists(study.new_replay()) == expected
    without_titles = study.new_replay(frozenset({"title"}))
    assert lists(without_titles) == lists(Replay(study.settings, bundle, study.records(frozenset({"title"}))))


def test_sums_of_lists() -> None:
    assert sums(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 2, 3, 3])).tolist() == [0.0, 3.0, 4.0, 0.0]
