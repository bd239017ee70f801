"""Trains a student from texts: corpus, teacher's vectors, training, cross-validation, exported weights.

Every step keeps its result in a work folder. A second run resumes from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from inference.loading import Loader
from inference.manifest import CATALOGUE, TOKENIZER, Manifest
from inference.manifest_files import read_file, read_manifest
from inference.types import Vector
from training.distillation.batches import Sampler
from training.distillation.blended import SHARE, EnglishVectors, blended, english_texts, translated_rows
from training.distillation.corpus import Corpus, Grades, TrainingTexts
from training.distillation.english_start import english_start, keep
from training.distillation.export import Exported
from training.distillation.gathering import Vocabulary, gathered
from training.distillation.graded import mean_ndcg, split
from training.distillation.history import Check, History
from training.distillation.merged import english_pieces
from training.distillation.plan import Plan, Stage
from training.distillation.student import SentenceEncoder, Tokens, vectors_of
from training.distillation.teacher import MAX_TOKENS, MINILM, Halves, Teacher, teacher_vectors
from training.distillation.train import Run, train

CHECK_EVERY = 200
CHECKED_TITLES = 400
STUDENT = "student.pt"
"""The file of the bundle's weights in the work folder."""


class ProgressReporter(Protocol):
    """A receiver of progress."""

    def begin(self, what: str, total: int) -> None:
        """Begin a task of `total` units."""
        ...

    def advance(self, by: int, note: str = "") -> None:
        """Report that `by` more units are done."""
        ...


@dataclass(frozen=True, slots=True)
class Student:
    """The result of a training run.

    Attributes:
        encoder: the trained weights with their tokenizer.
        source: the teacher.
        corpus: the training corpus.
        targets: the vectors of the corpus that the student imitates.
        held_out: cosines of each graded query's items by a student that was not trained on the query, by place.
        titles, vectors: held-out titles and torch's float32 vectors of them.
    """

    encoder: Exported
    source: Teacher
    corpus: Corpus
    targets: Halves
    held_out: dict[int, list[float]]
    titles: tuple[str, ...]
    vectors: Vector


@dataclass(slots=True)
class Trainer:
    """Trains the students of one plan, which share a work folder and the data.

    `extra` is the part of a checkpoint's digest that neither the plan nor the corpus determines, see `extra_digest`.
    `start` has the weights that the first student begins with; without it, it begins with the teacher's layers.
    """

    plan: Plan
    corpus: Corpus
    work: Path
    progress: ProgressReporter
    folder: Path
    targets: Halves
    tokens: Tokens
    vocabulary: Vocabulary
    extra: str
    start: Mapping[str, torch.Tensor] | None = None
    history: History = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self.work / "history.jsonl")

    def run(
        self,
        name: str,
        stages: tuple[Stage, ...],
        graded: Sequence[Grades],
        begin: SentenceEncoder | None = None,
        fixed: npt.NDArray[np.bool_] | None = None,
    ) -> SentenceEncoder:
        """Train one student through `stages`, from `begin`, from `start`, or from the teacher's layers.

        With `fixed`, only the other rows of the word table are trained.
        """
        # Every run of the plan has the same seed, so a fold's student does not depend on those before it.
        torch.manual_seed(self.plan.seed)
        encoder = self.vocabulary.student(self.folder, self.plan.layers)
        if begin is not None:
            encoder.load_state_dict(begin.state_dict())
        elif self.start is not None:
            encoder.bert.load_state_dict(self.start, strict=False)
        run = Run(
            name=name,
            # All that the weights depend on: a checkpoint of other data must be refused.
            digest=f"{self.plan.digest_of(stages)}/{self.plan.folds if begin else 0}/{self.corpus.digest}{self.extra}",
            stages=stages,
            sampler=Sampler(self.corpus, self.targets, graded, self.plan.seed),
            tokens=self.tokens,
            vectors=self.targets,
            warm_up=self.plan.warm_up,
            weight_decay=self.plan.weight_decay,
            bfloat16=self.plan.bfloat16,
            fixed=fixed,
        )
        total, done = sum(stage.steps for stage in stages), 0
        self.progress.begin(f"training: {name}", total)
        for step in train(encoder, run, self.work):
            self.history.add(step)
            # The number of steps so far over all stages. A resumed run begins in the middle.
            at = sum(s.steps for s in stages[: [s.name for s in stages].index(step.stage)]) + step.step + 1
            losses = ", ".join(f"{key} {value:.3f}" for key, value in step.losses.items())
            self.progress.advance(at - done, f"{step.stage}: {losses}")
            done = at
            if at % CHECK_EVERY == 0:
                self.check(name, step.stage, step.step + 1, encoder)
        self.progress.advance(total - done)
        return encoder

    def interpolated(self, name: str, final: Stage, graded: Sequence[Grades], base: SentenceEncoder) -> SentenceEncoder:
        """Train on graded queries, and return the student that is `plan.mix` of the way from `base` to the result."""
        encoder = self.run(name, (final,), graded, base)
        before, after = base.state_dict(), encoder.state_dict()
        # Integers, such as the numbers of positions, have no point between two weights.
        encoder.load_state_dict(
            {
                each: torch.lerp(before[each], after[each], self.plan.mix)
                if after[each].is_floating_point()
                else after[each]
                for each in after
            }
        )
        return encoder

    def check(self, run: str, stage: str, step: int, encoder: SentenceEncoder) -> None:
        """Validate the encoder and add the figures to the history."""
        rows = self.corpus.held_out[:CHECKED_TITLES].tolist()
        cosine = float((vectors_of(encoder, self.tokens, rows) * self._target_vectors(rows)).sum(axis=1).mean())
        known = self.vectors(encoder)
        found = mean_ndcg(self.corpus.graded, known) if known else None
        self.history.add(Check(run=run, stage=stage, step=step, cosine=cosine, ndcg=found))

    def vectors(self, encoder: SentenceEncoder) -> dict[int, Vector]:
        """Return the vectors of all graded queries and items by text number."""
        rows = sorted({int(each) for graded in self.corpus.graded for each in (graded.query, *graded.items)})
        return dict(zip(rows, vectors_of(encoder, self.tokens, rows), strict=True)) if rows else {}

    def _target_vectors(self, rows: Sequence[int]) -> Vector:
        vectors: Vector = self.targets[rows].astype(np.float32)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def distill(
    texts: TrainingTexts, plan: Plan, work: Path, progress: ProgressReporter, teacher: Teacher = MINILM
) -> Student:
    """Train a student of `teacher` on `texts` by `plan`. `work` keeps intermediate results, so that a run can resume.

    Raises:
        BundleError: the teacher's weights are not those that the project names, or the English bundle that is
            blended in is missing or damaged.
        DataError: a checkpoint in `work` is of another plan or of other texts.
    """
    # Read before the corpus is encoded, which takes long, so that a missing bundle is an error at once.
    english = read_manifest(teacher.english) if teacher.english is not None else None
    work.mkdir(parents=True, exist_ok=True)
    folder = teacher.unpack(work)
    tokenizer = (folder / "tokenizer.json").read_bytes()
    progress.begin("gathering texts", 1)
    corpus, vocabulary = gathered(texts, tokenizer, plan, teacher, english)
    progress.advance(1, f"{len(corpus.texts):,} texts")
    vectors = _encode_with_teacher(teacher, folder, corpus, plan, work, progress)
    targets = teacher.targets(vectors, corpus.texts, work)
    start = None
    if teacher.english is not None and english is not None and vocabulary.rows is not None:
        student = vocabulary.student(folder, plan.layers)
        start = english_start(teacher.english, student, vocabulary.tokenizer, vocabulary.rows >= 0, corpus)
        targets = _with_english(Loader(teacher.english, english), english.weights, targets, corpus, work, progress)
    tokens = Tokens(vocabulary.tokenizer, corpus.texts, plan.max_tokens)
    extra = extra_digest(vocabulary, teacher, english)
    trainer = Trainer(plan, corpus, work, progress, folder, targets, tokens, vocabulary, extra, start)
    encoder = trainer.run("base", plan.base, ())
    if start is not None and teacher.english is not None and english is not None:
        keep(encoder, start)
        if plan.rows is not None:
            fixed = english_pieces(read_file(teacher.english, english.of_role(TOKENIZER)), vocabulary.tokenizer)
            encoder = trainer.run("rows", (plan.rows,), (), encoder, fixed)
    held_out: dict[int, list[float]] = {}
    if plan.final is not None and corpus.graded:
        base, encoder = encoder, trainer.interpolated("final", plan.final, corpus.graded, encoder)
        held_out = _cross_validated(trainer, plan.final, base)
    trainer.check("final", "end", 0, encoder)
    torch.save({"encoder": encoder.state_dict()}, work / STUDENT)
    rows = corpus.held_out[:CHECKED_TITLES].tolist()
    return Student(
        encoder=Exported.of(encoder, vocabulary.tokenizer),
        source=teacher,
        corpus=corpus,
        targets=targets,
        held_out=held_out,
        titles=tuple(corpus.texts[row] for row in rows),
        vectors=vectors_of(encoder, trainer.tokens, rows),
    )


def extra_digest(vocabulary: Vocabulary, teacher: Teacher, english: Manifest | None) -> str:
    """Return the digest of the vocabulary and the targets; empty for a student with the whole vocabulary of MINILM.

    `english` is the manifest of the bundle that is blended in. A checkpoint with another digest is not resumed.
    """
    if vocabulary.rows is None and english is None and teacher.digest == MINILM.digest:
        return ""
    found = hashlib.blake2b(vocabulary.tokenizer, digest_size=8)
    blend = "" if english is None else f"{english.weights}/{SHARE}/merged"
    found.update(f"/{teacher.digest}/{blend}".encode())
    return f"/{found.hexdigest()}"


def _cross_validated(trainer: Trainer, final: Stage, base: SentenceEncoder) -> dict[int, list[float]]:
    graded = trainer.corpus.graded
    scores: dict[int, list[float]] = {}
    for number, held in enumerate(split([trainer.corpus.texts[each.query] for each in graded], trainer.plan.folds)):
        rest = [each for at, each in enumerate(graded) if at not in held]
        vectors = trainer.vectors(trainer.interpolated(f"fold-{number}", final, rest, base))
        for at in held:
            each = graded[at]
            cosines = np.array([vectors[item] for item in each.items.tolist()]) @ vectors[each.query]
            scores[at] = [round(float(cosine), 5) for cosine in cosines]
    return scores


def _with_english(
    english: Loader, weights: str, targets: Halves, corpus: Corpus, work: Path, progress: ProgressReporter
) -> Halves:
    """Return the targets, for English texts blended with the vectors of another encoder with these `weights`."""
    rows = english_texts(corpus)
    progress.begin("encoding English texts", len(rows))
    advance: Callable[[int], None] = progress.advance
    encoder = english.encoder_for(CATALOGUE)
    texts = [corpus.texts[row] for row in rows.tolist()]
    vectors = teacher_vectors(encoder, texts, work / "teacher", teacher=weights, progress=advance)
    return blended(targets, EnglishVectors(rows, vectors), translated_rows(corpus, rows))


def _encode_with_teacher(
    teacher: Teacher, folder: Path, corpus: Corpus, plan: Plan, work: Path, progress: ProgressReporter
) -> Halves:
    encoder = teacher.encoder(folder, min(plan.max_tokens, MAX_TOKENS))
    progress.begin("encoding with the teacher", len(corpus.texts))
    name = f"{teacher.digest}/{plan.max_tokens}"
    advance: Callable[[int], None] = progress.advance
    return teacher_vectors(encoder, corpus.texts, work / "teacher", teacher=name, progress=advance)
