"""Baselines in a second process make the same lists, and end with the evaluation."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from inference.bundle import Bundle
from streams.factory import profile_rules
from streams.items.encoded import encode_catalogue
from streams.settings import load_settings
from tests.training.evaluation.small_shop import ITEMS, random_events
from training.evaluation.baseline_process import BaselinePass, beside
from training.evaluation.cases import cases
from training.evaluation.plan import Options, System, baseline_inputs
from training.evaluation.run import evaluate
from training.log import read_log

OPTIONS = Options(
    protocol="next-item", measured_at=datetime(2026, 1, 1, tzinfo=UTC), ks=(3,), test_share=0.5, ablation=5
)
SETTINGS = load_settings({"list_size": 3})


def work(bundle: Bundle, protocol: str) -> BaselinePass:
    log = read_log(random_events(3, 150), ITEMS, profile_rules(SETTINGS).session_gap_ms)
    found = cases(log, log.acts(), protocol, len(log) // 2)
    system = System(SETTINGS, bundle, ITEMS, encode_catalogue(bundle, ITEMS))
    inputs = baseline_inputs(system, log, replace(OPTIONS, protocol=protocol), found.at.tolist())
    return BaselinePass(inputs, log, found, 3)


def silent(_phase: str, _total: int) -> Callable[[int], None]:
    return lambda _: None


@pytest.mark.parametrize("protocol", ["next-item", "next-basket", "search"])
def test_the_second_process_makes_the_same_lists(bundle: Bundle, protocol: str) -> None:
    own = work(bundle, protocol)
    with beside(own) as lists:
        found = lists(silent)
    for one, other in zip(own.run(lambda _: None), found, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(one.lists, other.lists)
    assert multiprocessing.active_children() == []


def test_an_error_of_the_pass_is_raised(bundle: Bundle) -> None:
    own = work(bundle, "search")
    broken = own._replace(inputs=replace(own.inputs, query_vectors={}))
    with beside(broken) as lists, pytest.raises(KeyError):
        lists(silent)


def test_a_process_that_is_killed_is_an_error(bundle: Bundle) -> None:
    with beside(work(bundle, "search")) as lists:
        (process,) = multiprocessing.active_children()
        process.kill()
        with pytest.raises(RuntimeError, match="exit code -9"):
            lists(silent)


def test_the_process_ends_with_an_error_of_the_system(bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="broken"), beside(work(bundle, "search")):
        raise ValueError("broken")
    assert multiprocessing.active_children() == []


class Awaited(threading.Thread):
    """A thread that says when it is awaited."""

    is_awaited = threading.Event()

    def join(self, timeout: float | None = None) -> None:
        self.is_awaited.set()
        super().join(timeout)


class Slow(dict[str, Any]):
    """Is written for the second process only when the thread that writes it is awaited."""

    is_read = threading.Event()

    def __reduce__(self) -> tuple[Any, ...]:
        self.is_read.set()
        Awaited.is_awaited.wait(30)
        return dict, ()


def test_the_log_is_sent_to_its_end_before_the_pipe_is_closed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.baseline_process.Thread", Awaited)
    threads = threading.enumerate()
    own = work(bundle, "search")
    with beside(own._replace(inputs=replace(own.inputs, query_vectors=Slow()))):
        assert Slow.is_read.wait(30)
    assert threading.enumerate() == threads


def test_two_processes_evaluate_alike(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[BaselinePass] = []

    def recorded(work: BaselinePass) -> Any:
        started.append(work)
        return beside(work)

    monkeypatch.setattr("training.evaluation.run.beside", recorded)
    system = System(SETTINGS, bundle, ITEMS, encode_catalogue(bundle, ITEMS))
    one = evaluate(system, random_events(3, 150), OPTIONS, silent)
    assert not started
    small = evaluate(system, random_events(3, 150), replace(OPTIONS, jobs=2), silent)
    assert not started
    monkeypatch.setattr("training.evaluation.baseline_process.SMALL", 10)
    two = evaluate(system, random_events(3, 150), replace(OPTIONS, jobs=2), silent)
    assert len(started) == 1
    for other in (small, two):
        assert [(row.name, row.metrics) for row in one.rows] == [(row.name, row.metrics) for row in other.rows]
        assert one.slices == other.slices
