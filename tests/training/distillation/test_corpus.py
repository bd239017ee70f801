"""The student's training data: pseudo-queries, pairs and batches, deterministic for a seed."""

from __future__ import annotations

import doctest
from functools import cache
from itertools import pairwise
from types import ModuleType

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.encoding.text import normalise_query
from training.distillation import corpus as corpus_module
from training.distillation import graded, plan
from training.distillation.batches import Sampler
from training.distillation.corpus import (
    DESCRIPTIONS,
    LINES,
    LONGEST,
    MATCHES,
    PSEUDO_QUERIES,
    TOGETHER,
    WORDS,
    Corpus,
    TrainingTexts,
    build_corpus,
    sample_pseudo_query,
    together,
    words_of,
)
from training.distillation.plan import MULTILINGUAL, PLAN, Stage, learning_rate, scaled

TITLES = tuple(f"{colour} {kind} {size} cm" for colour in ("red", "blue") for kind in ("lamp", "desk", "chair")
               for size in range(10, 40))  # fmt: skip
TEXTS = TrainingTexts(
    titles=TITLES,
    lines=tuple((title, f"{title}. Acme") for title in TITLES),
    descriptions=tuple((title, f"a {title} of Acme") for title in TITLES),
    matches=tuple((a, b, at % 2 == 0) for at, (a, b) in enumerate(pairwise(TITLES))),
    baskets=((TITLES[0], TITLES[1]),) * 9 + ((TITLES[0], TITLES[2]),) * 3,
    graded=(("red lamp", ((TITLES[0], 3), (TITLES[1], 0))), ("desks", ((TITLES[3], 1), (TITLES[4], 0)))),
)
STAGE = Stage(
    name="all", steps=5, rate=1e-3, pairs={PSEUDO_QUERIES: 8, MATCHES: 4, LINES: 2, WORDS: 2}, lists=1, contrast=1.0
)


@pytest.mark.parametrize("module", [corpus_module, graded, plan])
def test_docstring_examples_run(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@given(title=st.text(max_size=80), seed=st.integers(0, 2**32))
def test_a_pseudo_query_is_a_normalised_part_of_its_title(title: str, seed: int) -> None:
    query = sample_pseudo_query(title, np.random.default_rng(seed))
    assert query == normalise_query(query)
    assert (query == "") == (normalise_query(" ".join(words_of(title))) == "")


@given(seed=st.integers(0, 2**32))
def test_a_pseudo_query_keeps_the_order_of_the_words(seed: int) -> None:
    words = [f"w{number:02}" for number in range(20)]
    chosen = sample_pseudo_query(" ".join(words), np.random.default_rng(seed)).split()
    assert 1 <= len(chosen) <= LONGEST
    assert chosen == sorted(set(chosen))


def test_a_corpus_is_a_function_of_its_seed() -> None:
    first, again, other = (build_corpus(TEXTS, ["word", "other", "third"], seed) for seed in (1, 1, 2))
    assert (first.texts, first.digest) == (again.texts, again.digest)
    assert first.digest != other.digest
    assert set(first.pairs) == {PSEUDO_QUERIES, DESCRIPTIONS, MATCHES, TOGETHER, LINES, WORDS}


def test_no_pair_contains_a_held_out_title() -> None:
    corpus = build_corpus(TEXTS, ["word", "other", "third"], 1)
    held_out = {corpus.texts[each] for each in corpus.held_out}
    assert held_out
    for name in (PSEUDO_QUERIES, DESCRIPTIONS, MATCHES, LINES):
        texts = {corpus.texts[each] for each in np.concatenate([corpus.pairs[name].left, corpus.pairs[name].right])}
        assert not texts & (held_out | {f"{title}. Acme" for title in held_out})


def test_items_rarely_bought_together_make_no_pair() -> None:
    assert together(TEXTS.baskets) == [(TITLES[0], TITLES[1])]


def test_training_texts_can_be_added() -> None:
    both = TEXTS + TrainingTexts(titles=("another",))
    assert both.titles == (*TITLES, "another")
    assert both.graded == TEXTS.graded


@cache
def corpus() -> Corpus:
    return build_corpus(TEXTS, ["word", "other", "third"], 1)


def sampler(seed: int = 3) -> Sampler:
    vectors = np.random.default_rng(0).normal(size=(len(corpus().texts), 8)).astype(np.float16)
    return Sampler(corpus(), vectors, corpus().graded, seed)


@given(step=st.integers(0, 10_000), index=st.integers(0, 3))
def test_a_batch_is_a_function_of_seed_stage_and_step(step: int, index: int) -> None:
    first, again, other = (each.batch(STAGE, index, step) for each in (sampler(), sampler(), sampler(4)))
    np.testing.assert_array_equal(first.texts, again.texts)
    np.testing.assert_array_equal(first.left, again.left)
    np.testing.assert_array_equal(first.negatives, again.negatives)
    assert not np.array_equal(first.texts, other.texts)


@given(step=st.integers(0, 1000))
def test_the_indices_of_a_batch_are_valid(step: int) -> None:
    batch = sampler().batch(STAGE, 0, step)
    assert len(np.unique(batch.texts)) == len(batch.texts)
    for indices in (batch.left, batch.right, batch.negatives, *(each.items for each in batch.graded)):
        assert ((indices >= 0) & (indices < len(batch.texts))).all()
    assert len(batch.left) == len(batch.right)
    assert ((batch.anchors >= 0) & (batch.anchors < len(batch.left))).all()
    assert len(batch.graded) == 1


@given(st.integers(1, 500), st.floats(1e-6, 1), st.floats(0, 0.5))
def test_the_learning_rate_rises_to_its_peak_and_then_falls(steps: int, peak: float, warm_up: float) -> None:
    rates = [learning_rate(step, steps, peak, warm_up) for step in range(steps)]
    top = int(np.argmax(rates))
    assert max(rates) <= peak * (1 + 1e-9)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_a_stage_of_word_rows_changes_the_digest_of_its_own_plan_alone() -> None:
    without = msgspec.structs.replace(MULTILINGUAL, rows=None)
    assert without.digest != MULTILINGUAL.digest
    assert without.digest_of(without.base) == MULTILINGUAL.digest_of(MULTILINGUAL.base)
    assert scaled(MULTILINGUAL, 0.1).rows is not None
    assert scaled(PLAN, 0.1).rows is None


def test_a_changed_plan_has_another_digest() -> None:
    shorter = scaled(PLAN, 0.1)
    assert shorter.base[0].steps == round(0.1 * PLAN.base[0].steps)
    assert PLAN.digest == scaled(PLAN, 1).digest != shorter.digest
