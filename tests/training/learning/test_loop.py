"""The loop: refits on schedule and after drift, publishes only what is better, goes back, and survives a restart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.bundle import Bundle
from inference.errors import ScoringError
from inference.manifest import DataInput
from inference.manifest_files import read_manifest
from streams.errors import StreamsError
from tests.bundles import copy_bundle, permute_encoder
from tests.conftest import BUNDLE
from tests.training.learning.acts import START_MS, answer, view
from tests.training.learning.loops import FIRST, NAME, fill, loop_in, outcomes
from tests.training.sequence.test_bundle import model_of
from training.learning import refit
from training.learning.loop import LearningLoop
from training.learning.metrics import FAILED, NOT_BETTER, PINNED, PUBLISHED, TOO_FEW
from training.learning.rules import DAY_MS, HOUR_MS, LearningRules
from training.learning.store import ListStore, feature_model
from training.learning.versions import Cause
from training.ranker.network import to_onnx, unfitted
from training.ranker.provenance import event_hashes, known_share
from training.sequence.bundle import with_sequence


def test_the_first_refit_is_after_the_scheduled_time(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    announced: list[tuple[Path, Sequence[DataInput]]] = []
    loop.topics, loop.announce = ("clicks",), lambda *given: announced.append(given)
    fill(loop, "lasting", range(20))
    loop.advance()
    assert outcomes(loop) == {}
    fill(loop, "lasting", range(20, 25))
    loop.advance()
    assert outcomes(loop) == {PUBLISHED: 1}
    (published,) = loop.versions.ledger.published
    assert (published.former, published.version) == ("1", "2")
    ((bundle_folder, inputs),) = announced
    assert bundle_folder.name == "2"
    assert [(each.part, each.name) for each in inputs] == [("ranker", "clicks")]
    assert tuple(inputs) == read_manifest(bundle_folder).inputs
    assert loop.versions.in_use(None).version == "2"


def test_a_version_records_the_events_that_its_ranker_was_fitted_to(folder: Path, bundle: Bundle) -> None:
    events = [view(minute, minute % 9, user=f"u{minute % 7}", session=None) for minute in range(600)]
    loop = loop_in(folder, bundle)
    for number, event in enumerate(events[:300]):
        loop.observe(event, ("clicks/0", number))
    loop.advance()
    loop.flush()
    # A new process reads everything again, but counts only the events whose lists are not on disk yet.
    loop = loop_in(folder, bundle)
    for number, event in enumerate(events):
        loop.observe(event, ("clicks/0", number))
    loop.advance(is_current=False)
    loop.flush()
    fill(loop, "lasting", range(10, 36))
    loop.advance()
    assert outcomes(loop) == {PUBLISHED: 1}
    (fitted,) = read_manifest(folder / "models" / NAME / "2").fitted_to
    first, last = (event.occurred_at.isoformat() for event in (events[0], events[-1]))
    assert (fitted.events, fitted.since, fitted.until) == (len(events), first, last)
    assert known_share([fitted], event_hashes(events)) == 1


def test_without_new_lists_nothing_changes(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    fill(loop, "lasting", range(25))
    loop.advance()
    for _ in range(3):
        loop.now_ms += 2 * DAY_MS
        loop.advance()
    assert outcomes(loop) == {PUBLISHED: 1}
    again = loop_in(folder, bundle)
    again.now_ms = loop.now_ms + 2 * DAY_MS
    again.advance()
    assert outcomes(again) == {}


def test_a_ranker_that_is_not_better_is_not_published(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    fill(loop, "lasting", range(25))
    loop.advance()
    fill(loop, "lasting", range(25, 50))
    loop.advance()
    assert outcomes(loop) == {PUBLISHED: 1, NOT_BETTER: 1}
    assert loop.versions.in_use(None).version == "2"


def test_a_pinned_model_is_not_replaced(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    loop.pinned = FIRST
    fill(loop, "lasting", range(25))
    loop.advance()
    assert outcomes(loop) == {PINNED: 1}
    assert loop.versions.ledger.published == []


def test_too_few_lists_are_no_refit(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle, LearningRules(least_lists=10_000, units=0))
    fill(loop, "lasting", range(25))
    loop.advance()
    assert outcomes(loop) == {TOO_FEW: 1}


def test_a_failed_refit_leaves_the_loop_running(folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = loop_in(folder, bundle)
    fill(loop, "lasting", range(25))

    def fails(*_: object) -> None:
        raise ScoringError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr(refit, "refit", fails)
        loop.advance()
    assert outcomes(loop) == {FAILED: 1}
    fill(loop, "lasting", range(25, 50))
    loop.advance()
    assert outcomes(loop) == {FAILED: 1, PUBLISHED: 1}


def test_lists_that_cannot_be_written_are_kept(folder: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = loop_in(folder, bundle)
    show(loop, "1", 0, 4, 0.5)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(ListStore, "write", fails)
        loop.advance(is_current=False)
    assert loop.metrics.registry.get_sample_value("intentstream_learn_failures_total") == 1
    assert len(loop.store) == 0
    loop.flush()
    again = ListStore(folder / "lists", 1000, feature_model(bundle))
    assert len(again) > 100
    assert next(iter(again.exposures().values())).sum() > 0


@pytest.mark.parametrize("part", ["encoder", "sequence model"])
def test_another_encoder_or_sequence_model_ends_the_loop(folder: Path, bundle: Bundle, part: str) -> None:
    other = folder / "models" / NAME / "7"
    if part == "encoder":
        copy_bundle(BUNDLE, other, permute_encoder)
    else:
        model = model_of(bundle)
        with_sequence(BUNDLE, other, model.weights, model.keys, model.residuals)
    loop = loop_in(folder, bundle)
    fill(loop, "lasting", range(25))
    with pytest.raises(StreamsError, match="start it again"):
        loop.advance()


def test_nothing_is_refitted_while_old_records_are_read(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    fill(loop, "lasting", range(25))
    loop.advance(is_current=False)
    assert outcomes(loop) == {}


def show(loop: LearningLoop, version: str, first_hour: int, hours: int, clicks: float) -> None:
    """Show a list of a version to 20 shoppers an hour. A share of them acts on its first item."""
    for hour in range(first_hour, first_hour + hours):
        for shopper in range(20):
            trigger = view(60 * hour + shopper, 0, user=f"u{hour % 24}-{shopper}", session=None)
            loop.observe(trigger)
            loop.observe(answer(trigger, [1, 2, 3], version=version))
            acts = shopper < clicks * 20
            loop.observe(view(60 * hour + shopper + 0.5, 1 if acts else 9, user=trigger.user_id, session=None))


def test_a_version_with_fewer_clicks_is_replaced_by_its_predecessor(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle, LearningRules(units=0, least_lists=10**6))
    show(loop, "1", 0, 24, 0.5)
    new = loop.versions.publish(to_onnx(unfitted()), FIRST, Cause(loop.now_ms, "better", DAY_MS))
    show(loop, new.version, 24, 24, 0.1)
    show(loop, new.version, 49, 1, 0.1)
    loop.advance()
    assert [each.goes_back for each in loop.versions.ledger.published] == [False, True]
    assert loop.metrics.registry.get_sample_value("intentstream_learn_rollbacks_total") == 1
    assert loop.versions.in_use(None).version == "3"
    assert "fell from" in loop.versions.ledger.published[-1].reason


def test_a_version_with_as_many_clicks_stays(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle, LearningRules(units=0, least_lists=10**6))
    show(loop, "1", 0, 24, 0.5)
    new = loop.versions.publish(to_onnx(unfitted()), FIRST, Cause(loop.now_ms, "better", DAY_MS))
    show(loop, new.version, 24, 24, 0.5)
    loop.advance()
    assert [each.version for each in loop.versions.ledger.published] == [new.version]
    show(loop, new.version, 24 + 49, 1, 0.5)
    loop.advance()
    assert loop.versions.guarded() is None


def test_a_new_version_is_not_blamed_for_a_change_before_it(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle, LearningRules(units=0, least_lists=10**6))
    show(loop, "1", 0, 24, 0.8)
    show(loop, "1", 24, 6, 0.3)  # the taste has changed
    new = loop.versions.publish(to_onnx(unfitted()), FIRST, Cause(loop.now_ms, "better", 4 * HOUR_MS))
    show(loop, new.version, 30, 24, 0.4)
    loop.advance()
    assert [each.version for each in loop.versions.ledger.published] == [new.version]


def test_after_going_back_there_is_no_refit_for_a_while(folder: Path, bundle: Bundle) -> None:
    loop = loop_in(folder, bundle)
    new = loop.versions.publish(to_onnx(unfitted()), FIRST, Cause(START_MS, "better", DAY_MS))
    guarded = loop.versions.guarded()
    assert guarded is not None
    back = loop.versions.go_back(guarded, new.name, START_MS + 20 * HOUR_MS, "fewer clicks")
    fill(loop, "lasting", range(30))
    loop.advance()
    assert outcomes(loop) == {}
    fill(loop, "lasting", range(30, 46))
    loop.advance()
    assert outcomes(loop) == {PUBLISHED: 1}
    assert loop.versions.ledger.published[-1].former == back.version
