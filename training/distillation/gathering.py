"""Gathers the corpus of a training run and the vocabulary of its student. No I/O beyond reading a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from inference.chinese import is_chinese
from inference.manifest import TOKENIZER, Manifest
from inference.manifest_files import read_file
from training.distillation.blended import english_texts
from training.distillation.corpus import TRANSLATIONS, Corpus, TrainingTexts, build_corpus
from training.distillation.merged import merged_vocabulary
from training.distillation.plan import Plan
from training.distillation.student import SentenceEncoder, student_of
from training.distillation.teacher import Teacher
from training.distillation.unigram import TitleSplitter, is_unigram, small_vocabulary, words_in_use
from training.distillation.vocabulary import whole_words

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokenizer of a student, and the rows of the teacher's word table that it has; None for all of them.

    A row is -1 for a piece that the teacher does not have.
    """

    tokenizer: bytes
    rows: npt.NDArray[np.int64] | None = None

    def student(self, folder: Path, layers: Sequence[int]) -> SentenceEncoder:
        """Return a student with the teacher's layers and rows; pieces that the teacher does not have get any row."""
        return student_of(folder, layers, None if self.rows is None else np.maximum(self.rows, 0))


def gathered(
    texts: TrainingTexts, tokenizer: bytes, plan: Plan, teacher: Teacher, english: Manifest | None
) -> tuple[Corpus, Vocabulary]:
    """Return the corpus and the student's vocabulary.

    The vocabulary is the teacher's, or its pieces that the corpus uses, alone or beside those of an English student.
    """
    if not is_unigram(tokenizer):
        return build_corpus(texts, whole_words(tokenizer)[: plan.words], plan.seed), Vocabulary(tokenizer)
    thinned = _thinned(texts)
    words = words_in_use(tokenizer, thinned.titles)[: plan.words]
    corpus = build_corpus(thinned, words, plan.seed, TitleSplitter(tokenizer), teacher.spans)
    if teacher.english is None or english is None:
        return corpus, Vocabulary(*small_vocabulary(tokenizer, corpus.texts, teacher.least))
    of_english = [corpus.texts[row] for row in english_texts(corpus).tolist()]
    pairs = corpus.pairs.get(TRANSLATIONS)
    words = [corpus.texts[row] for row in pairs.left.tolist()] if pairs is not None else []
    own = read_file(teacher.english, english.of_role(TOKENIZER))
    return corpus, Vocabulary(*merged_vocabulary(own, tokenizer, corpus.texts, of_english, words))


def _thinned(texts: TrainingTexts) -> TrainingTexts:
    """Return the texts with all Chinese ones and a part of the other long ones, on which the teacher is slow.

    The student begins with an English one, so it needs few English texts.
    """

    def part(rows: Sequence[T], every: int, title: Callable[[T], str]) -> tuple[T, ...]:
        return tuple(row for at, row in enumerate(rows) if at % every == 0 or is_chinese(title(row)))

    return replace(
        texts,
        titles=part(texts.titles, 4, str),
        lines=part(texts.lines, 12, itemgetter(0)),
        descriptions=part(texts.descriptions, 9, itemgetter(0)),
        matches=part(texts.matches, 12, itemgetter(0)),
    )
