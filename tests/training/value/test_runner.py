"""Results of replays on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.bundle import Bundle
from tests.training.value.small_study import EVERYTHING, study_of
from training.value.runner import Runner, Store, digest_of
from training.value.study import Study
from training.value.variants import Variant


def test_a_result_is_read_as_it_was_written_and_only_for_the_same_inputs(tmp_path: Path) -> None:
    store = Store(tmp_path, "inputs")
    written = {"ranking:": np.arange(6, dtype=np.float32).reshape(3, 2), "seconds": np.array([0.5])}
    store.write("key", written)
    found = store.read("key")
    assert found is not None
    assert {name: each.tolist() for name, each in found.items()} == {n: e.tolist() for n, e in written.items()}
    assert store.read("other") is None
    assert Store(tmp_path, "other inputs").read("key") is None
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


def test_a_damaged_result_counts_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path, "inputs")
    store.write("key", {"a": np.zeros(100)})
    store.path("key").write_bytes(store.path("key").read_bytes()[:60])
    assert store.read("key") is None


def test_digests_distinguish_where_a_text_ends() -> None:
    assert digest_of("ab", "c") != digest_of("a", "bc")


def test_a_replay_runs_once(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, count = study_of(bundle), 0
    replay = Study.replay

    def counted(*arguments: object) -> object:
        nonlocal count
        count += 1
        return replay(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Study, "replay", counted)
    job = study.job(EVERYTHING, Variant(types=frozenset({"view"})))
    runner = Runner(study, Store(tmp_path, "inputs"))
    first, second = runner.result(job), runner.result(job)
    later = Runner(study, Store(tmp_path, "inputs"))
    third = later.result(job)
    steps: list[int] = []
    fourth = later.result(job, steps.append)
    assert count == 1
    assert (runner.ran, later.ran, later.found) == (1, 0, 1)
    for each in (second, third, fourth):
        assert each["ranking:"].tolist() == first["ranking:"].tolist()
    other = study.baseline_job(EVERYTHING)
    later.result(other, steps.append)
    assert count == 2
    assert sum(steps) > 0
