"""The history of a training run on disk: repeated steps, and what a kill leaves at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.errors import DataError
from training.distillation.history import Check, History, Step


def step(number: int, texts: int = 1) -> Step:
    """Return a step of a run."""
    return Step(run="base", stage="imitate", step=number, losses={"cosine": 0.5}, texts=texts, seconds=1.0)


def test_of_a_repeated_step_the_last_entry_counts(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    check = Check(run="base", stage="imitate", step=1, cosine=0.9)
    for entry in (step(0), check, step(1), step(1, texts=2)):
        history.add(entry)
    assert list(history.entries()) == [step(0), check, step(1, texts=2)]


def test_half_a_line_at_the_end_is_left_out_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = History(path)
    history.add(step(0))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"type":"step","run":"ba')
    assert list(history.entries()) == [step(0)]
    History(path).add(step(1))
    assert list(history.entries()) == [step(0), step(1)]
    path.write_bytes(whole[:10])
    History(path).add(step(2))
    assert list(history.entries()) == [step(2)]


def test_a_damaged_line_before_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"{}\n")
    History(path).add(step(0))
    with pytest.raises(DataError, match="line 1"):
        list(History(path).entries())
