"""The record of what a ranker was fitted to, and the share of a log that it covers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs the extra `train`")

from inference.bundle import load_bundle
from inference.errors import BundleError
from inference.manifest import ENCODER, MANIFEST, RANKER, DataInput
from inference.manifest_files import read_manifest
from streams.assets.building import model_details
from tests.conftest import BUNDLE
from tests.training.evaluation.small_shop import random_events
from tests.training.ranker.lists import labelled
from training.ranker.bundle import with_ranker
from training.ranker.examples import join, read_examples
from training.ranker.gather import Sampling, ranked_period
from training.ranker.network import to_onnx, unfitted
from training.ranker.provenance import (
    SAMPLE,
    event_hashes,
    file_input,
    grade_hashes,
    known_share,
    merged,
    overlap,
    period,
)

EVENTS = random_events(3, 2000)


def test_the_share_of_the_tested_events_is_estimated_from_a_sample() -> None:
    fitted = period(event_hashes(EVENTS[:1500]), EVENTS[:1500])
    assert fitted.events == 1500
    assert len(fitted.sample) == 8 * SAMPLE
    assert (fitted.since, fitted.until) == (EVENTS[0].occurred_at.isoformat(), EVENTS[1499].occurred_at.isoformat())
    tested = event_hashes(EVENTS[1000:])
    assert known_share([fitted], tested) == pytest.approx(0.5, abs=0.12)
    assert known_share([fitted], event_hashes(EVENTS[1500:])) == 0
    assert known_share([fitted], event_hashes(EVENTS[:1500])) == 1
    assert known_share([], tested) == known_share([fitted], tested[:0]) == 0


def test_parts_make_the_record_of_the_whole() -> None:
    parts = [period(event_hashes(EVENTS[a:b]), EVENTS[a:b]) for a, b in ((900, 2000), (0, 40), (40, 900))]
    assert merged(parts) == (period(event_hashes(EVENTS), EVENTS),)
    assert merged([]) == ()
    graded = period(grade_hashes([("tea", "i1")]))
    assert merged([graded]) == (graded,)


def test_periods_overlap_if_they_share_events() -> None:
    one, other, apart = (period(event_hashes(EVENTS[a:b])) for a, b in ((0, 1000), (500, 1500), (1000, 2000)))
    assert overlap([one], [other])
    assert not overlap([one], [apart])
    assert not overlap([], [one])


def test_graded_searches_are_recognised_by_search_and_item() -> None:
    fitted = period(grade_hashes([("tea", "i1"), ("tea", "i2")]))
    assert fitted.since is None
    assert known_share([fitted], grade_hashes([("tea", "i1"), ("tea", "i9")])) == 0.5


def test_only_interactions_that_have_lists_are_recorded() -> None:
    (found,) = ranked_period(EVENTS, Sampling(after=0.25))
    assert found.events == 1500
    assert found.since == EVENTS[500].occurred_at.isoformat()
    assert ranked_period([], Sampling()) == ()


def test_examples_keep_the_record_through_files_and_joins(tmp_path: Path) -> None:
    one, other = (period(event_hashes(EVENTS[a:b])) for a, b in ((0, 100), (100, 200)))
    examples = replace(labelled(lists=6), fitted_to=(one,))
    examples.write(tmp_path / "data.npz")
    assert read_examples(tmp_path / "data.npz").fitted_to == (one,)
    assert join([examples, examples, replace(examples, fitted_to=(other,))]).fitted_to == (one, other)
    assert examples.split(0.5, 1).fitted_to == (one,)


def test_a_bundle_records_what_its_ranker_was_fitted_to(tmp_path: Path) -> None:
    fitted = period(event_hashes(EVENTS), EVENTS)
    target = tmp_path / "shop" / "2"
    with_ranker(BUNDLE, target, to_onnx(unfitted()), [fitted])
    assert read_manifest(target).fitted_to == (fitted,)
    # The record belongs to the ranker: another ranker does not inherit it.
    with_ranker(target, tmp_path / "shop" / "3", to_onnx(unfitted()))
    assert read_manifest(tmp_path / "shop" / "3").fitted_to == ()


def test_a_bundle_names_the_data_of_each_part(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_bytes(b"{}\n")
    given = file_input(RANKER, events, records=7)
    digest = hashlib.sha256(b"{}\n").hexdigest()
    assert given == DataInput(part=RANKER, name="events.jsonl", sha256=digest, bytes=3, records=7)
    texts = DataInput(part=ENCODER, name="items.jsonl", sha256=digest)
    with_ranker(BUNDLE, tmp_path / "shop" / "2", to_onnx(unfitted()), inputs=[texts, given])
    assert read_manifest(tmp_path / "shop" / "2").inputs == (texts, given)
    topic = DataInput(part=RANKER, name="clicks", records=9)
    made = with_ranker(tmp_path / "shop" / "2", tmp_path / "shop" / "3", to_onnx(unfitted()), inputs=[topic])
    assert made.manifest.inputs == (texts, topic)
    assert "clicks, 9 lists" in model_details(made.manifest)["made from"]


def test_a_manifest_without_the_record_is_read(tmp_path: Path) -> None:
    target = tmp_path / "shop" / "2"
    with_ranker(BUNDLE, target, to_onnx(unfitted()))
    manifest = json.loads((target / MANIFEST).read_text())
    del manifest["fitted_to"], manifest["inputs"]
    (target / MANIFEST).write_text(json.dumps(manifest))
    assert load_bundle(target).manifest.fitted_to == ()
    manifest["fitted_to"] = [{"events": 0, "sample": ""}]
    (target / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="fitted_to"):
        load_bundle(target)
