"""Sessions of ONNX Runtime: errors are those of inference, and a graph is opened without the GIL."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from inference.encoding.providers import CPU
from inference.encoding.session import open_session
from inference.errors import BundleError, ScoringError
from tests.conftest import BUNDLE


def test_an_error_of_the_runtime_is_a_scoring_error() -> None:
    session = open_session((BUNDLE / "ranker.onnx").read_bytes(), name="ranker", providers=(CPU,))
    with pytest.raises(ScoringError, match=r"the ranker graph failed on features float32\[2, 1\]"):
        session.run({"features": np.zeros((2, 1), dtype=np.float32)})


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(BundleError, match="the ranker graph cannot be opened by onnxruntime"):
        open_session(b"not a graph", name="ranker", providers=(CPU,))


class Others:
    """A thread that counts its turns. It gets a turn only when another thread releases the GIL."""

    def __init__(self) -> None:
        self.turns = 0
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            self.turns += 1
            time.sleep(0.0002)

    def had_turns(self, work: Callable[[], object]) -> bool:
        """Return whether the thread ran while `work` did."""
        before = self.turns
        work()
        return self.turns > before


@pytest.fixture
def others() -> Iterator[Others]:
    others = Others()
    thread = threading.Thread(target=others.run, daemon=True)
    with unforced():
        thread.start()
        yield others
        others.over.set()
        thread.join()


@contextmanager
def unforced() -> Iterator[None]:
    """Switch threads only when one waits or releases the GIL: Python itself switches after a minute."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(60.0)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def test_a_graph_is_opened_without_the_gil(others: Others) -> None:
    import onnxruntime as ort

    content = (BUNDLE / "encoder-int8.onnx").read_bytes()
    assert others.had_turns(lambda: ort.InferenceSession(content, providers=[CPU]))


def test_a_python_computation_is_detected_to_hold_the_gil(others: Others) -> None:
    assert not others.had_turns(lambda: sum(range(1_000_000)))
