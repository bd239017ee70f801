"""The system's lists equal those of a replay, and use no data from the future."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from inference.bundle import Bundle
from streams.contracts.internal import ItemVector
from streams.contracts.messages import Interaction
from streams.factory import profile_rules
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import load_settings
from tests.training.evaluation.small_shop import ITEMS, random_events
from training.evaluation.cases import Cases, cases
from training.evaluation.system_pass import FOLD, FUSED, OURS, SystemPass, SystemResult
from training.log import Log, read_log

K = 5
SETTINGS = load_settings({"list_size": K, "trending_interval_seconds": 300.0})


@pytest.fixture(scope="module")
def records(bundle: Bundle) -> list[ItemVector]:
    return encode_catalogue(bundle, ITEMS)


def logged(events: Sequence[Interaction], protocol: str) -> tuple[Log, Cases]:
    log = read_log(events, ITEMS, profile_rules(SETTINGS).session_gap_ms)
    return log, cases(log, log.acts(), protocol, len(log) // 3)


def run_pass(
    bundle: Bundle, records: Sequence[ItemVector], events: Sequence[Interaction], protocol: str
) -> tuple[Log, Cases, SystemResult]:
    log, found = logged(events, protocol)
    replay = Replay(SETTINGS, bundle, records)
    progress: list[int] = []
    result = SystemPass(replay, log, found, K, np.arange(0, len(found), 2)).run(progress.append)
    assert sum(progress) == found.at[-1] + 1
    return log, found, result


@pytest.mark.parametrize("protocol", ["next-item", "search"])
def test_lists_equal_those_of_a_replay(bundle: Bundle, records: list[ItemVector], protocol: str) -> None:
    log, found, result = run_pass(bundle, records, random_events(1, 90), protocol)
    lists = list(Replay(SETTINGS, bundle, records).recommend(log.interactions))
    for case, at in enumerate(found.at.tolist()):
        expected = [item.item_id for item in lists[at].items]
        assert [log.item_ids[n] for n in result.ours[0].lists[case] if n >= 0] == expected
    assert [each.name for each in result.ours] == [OURS, FUSED]


PLACED = """
[placements.shelf]
sources = ["short_term", "long_term", "query", "trending"]
k = 3
filter.categories = ["tea", "milk", "beans"]
diversity = 0.5
weights = {trending = 3}
"""


@pytest.mark.parametrize("protocol", ["next-item", "search"])
def test_lists_of_a_placement_equal_those_of_a_replay(
    bundle: Bundle, records: list[ItemVector], protocol: str, tmp_path: Path
) -> None:
    path = tmp_path / "placements.toml"
    path.write_text(PLACED)
    settings = SETTINGS.replace(placements_file=path)
    log, found = logged(random_events(1, 90), protocol)
    replay = Replay(settings, bundle, records, placement="shelf")
    result = SystemPass(replay, log, found, K, np.arange(len(found))).run(lambda _: None)
    lists = list(Replay(settings, bundle, records, placement="shelf").recommend(log.interactions))
    shown = {"i0", "i1", "i2", "i3"}
    for case, at in enumerate(found.at.tolist()):
        expected = [item.item_id for item in lists[at].items]
        assert [log.item_ids[n] for n in result.ours[0].lists[case] if n >= 0] == expected
        assert len(expected) <= 3
    assert set(result.alone) == set(result.without) == {"short_term", "long_term", "query", "trending"}
    everything = [*result.ours, *result.alone.values(), *result.without.values()]
    listed = {log.item_ids[n] for each in everything for n in each.lists[each.lists >= 0].tolist()}
    assert listed == shown
    assert all({log.item_ids[n] for n in each[each >= 0].tolist()} <= shown for each in result.fair.values())


def test_an_arriving_shopper_is_ranked_before_the_first_event(bundle: Bundle, records: list[ItemVector]) -> None:
    log, found, result = run_pass(bundle, records, random_events(2, 120), "next-basket")
    for case in range(0, len(found), 5):
        at = int(found.at[case])
        replay = Replay(SETTINGS, bundle, records)
        for _ in replay.fold(log.interactions[:at]):
            pass
        query = replay.arrive(log.interactions[at].user_id, int(log.at_ms[at]))
        ranked = replay.recommender.rank(replay.recommender.retrieve(query))
        expected = {item.item_id for item in ranked.items}
        # Trends are updated at other times here, so up to two items may differ.
        ours = {log.item_ids[n] for n in result.ours[0].lists[case] if n >= 0}
        assert len(expected & ours) >= K - 2


@pytest.mark.parametrize("protocol", ["next-item", "next-basket", "search"])
def test_later_events_do_not_change_lists(bundle: Bundle, records: list[ItemVector], protocol: str) -> None:
    before = random_events(3, 90)
    later = random_events(4, 60, start=90)
    _, few, short = run_pass(bundle, records, before, protocol)
    log = read_log([*before, *later], ITEMS, profile_rules(SETTINGS).session_gap_ms)
    more = cases(log, log.acts(), protocol, len(before) // 3)
    replay = Replay(SETTINGS, bundle, records)
    longer = SystemPass(replay, log, more, K, np.arange(0)).run(lambda _: None)
    known = [more.at.tolist().index(at) for at in few.at.tolist()]
    np.testing.assert_array_equal(short.ours[0].lists, longer.ours[0].lists[known])
    assert longer.without == {}


def test_every_source_is_evaluated_alone_and_left_out(bundle: Bundle, records: list[ItemVector]) -> None:
    _, found, result = run_pass(bundle, records, random_events(5, 90), "search")
    # The shipped bundle has no sequence model.
    assert set(result.alone) == set(result.without) == set(SETTINGS.retrieval.sources) - {"sequence"}
    assert {len(each.lists) for each in result.alone.values()} == {len(found)}
    assert {len(each.lists) for each in result.without.values()} == {len(result.sample)} == {(len(found) + 1) // 2}
    assert any((each.lists != result.ours[0].lists[result.sample]).any() for each in result.without.values())
    assert set(result.stages) >= {FOLD, "retrieve", "score", "rank"}
    assert (result.ours[0].rank_us > 0).all()


def test_times_of_lists_are_those_of_some_batches(
    bundle: Bundle, records: list[ItemVector], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluation.system_pass.REASONS_EVERY", 1)
    _, found, every = run_pass(bundle, records, random_events(5, 90), "search")
    monkeypatch.setattr("training.evaluation.system_pass.REASONS_EVERY", 10)
    _, _, some = run_pass(bundle, records, random_events(5, 90), "search")
    assert len(every.ours[0].rank_us) >= len(found)
    assert 0 < len(some.ours[0].rank_us) < len(found)
    np.testing.assert_array_equal(some.ours[0].lists, every.ours[0].lists)
    assert {name: each.lists.tolist() for name, each in some.alone.items()} == {
        name: each.lists.tolist() for name, each in every.alone.items()
    }
