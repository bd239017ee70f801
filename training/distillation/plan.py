"""The plan of a training run, stage by stage: everything but the corpus that its result depends on. No I/O."""

from __future__ import annotations

import hashlib
import math

import msgspec
import msgspec.structs

from training.distillation.corpus import (
    DESCRIPTIONS,
    LINES,
    MATCHES,
    PSEUDO_QUERIES,
    SEARCHES,
    TOGETHER,
    TRANSLATIONS,
    WORDS,
)

LAYERS = (0, 3, 5)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One stage of training with its own rate and mix.

    Attributes:
        name: the name in the report.
        steps: optimiser steps.
        horizon: steps after which the rate would be 0; more than `steps` if another stage follows. 0: `steps`.
        rate: peak learning rate of the layers. That of the embedding tables is `table` times as high.
        pairs: the number of pairs from each source in a batch.
        lists: graded queries in a batch, each with at most `list_items` items.
        cosine, matrix, contrast, grades: weights of the losses, see `train`.
    """

    name: str
    steps: int
    horizon: int = 0
    rate: float
    pairs: dict[str, int]
    table: float = 0.3
    lists: int = 0
    list_items: int = 20
    cosine: float = 1.0
    matrix: float = 1.0
    contrast: float = 0.0
    grades: float = 0.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A complete run: the stages `base` once, then `final` with the graded queries, once a fold and once with all.

    The resulting weights are interpolated: `mix` of the way from those before `final` to those after it. Training on
    few graded queries improves these queries and degrades others. On the way between the two weights, most of the gain
    comes before most of the loss (Wortsman et al. 2022, arXiv:2109.01903).

    With an English start, `rows` follows `base`. It trains the word rows of the pieces that the English student does
    not have, and nothing else.

    `words` is the greatest number of the teacher's own words in the training, alone and in phrases. So words of shops
    without training data keep the meaning that the teacher gives them.
    """

    seed: int = 7
    layers: tuple[int, ...] = LAYERS
    max_tokens: int = 96
    words: int = 30_000
    folds: int = 5
    mix: float = 0.4
    warm_up: float = 0.05
    weight_decay: float = 0.01
    bfloat16: bool = True
    base: tuple[Stage, ...] = ()
    final: Stage | None = None
    rows: Stage | None = None

    @property
    def digest(self) -> str:
        """The digest of the plan: two plans that could give different weights have different ones."""
        return self.digest_of((*self.base, *(each for each in (self.rows, self.final) if each)))

    def digest_of(self, stages: tuple[Stage, ...]) -> str:
        """Return the digest of everything that a run of these stages depends on, without the stages after them."""
        common = msgspec.to_builtins(msgspec.structs.replace(self, base=stages, final=None, folds=0, mix=0.0))
        # A plan without this stage has the digest that it had before there was one.
        del common["rows"]
        return hashlib.blake2b(msgspec.json.encode(common), digest_size=8).hexdigest()


def scaled(plan: Plan, scale: float) -> Plan:
    """Return the plan with every stage's steps times `scale`, at least one each."""

    def shorter(stage: Stage) -> Stage:
        steps, horizon = max(1, round(stage.steps * scale)), round(stage.horizon * scale)
        return msgspec.structs.replace(stage, steps=steps, horizon=horizon)

    final = shorter(plan.final) if plan.final is not None else None
    rows = shorter(plan.rows) if plan.rows is not None else None
    return msgspec.structs.replace(plan, base=tuple(map(shorter, plan.base)), final=final, rows=rows)


def learning_rate(step: int, steps: int, peak: float, warm_up: float) -> float:
    """Return the rate of `step`, 0 to steps - 1: linear to `peak` over the first share `warm_up`, then half a cosine.

    >>> [round(learning_rate(step, 10, 1.0, 0.2), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    rising = max(1, round(warm_up * steps))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


IMITATE = Stage(
    name="imitate",
    steps=450,
    horizon=1700,
    rate=4e-4,
    pairs={PSEUDO_QUERIES: 40, DESCRIPTIONS: 20, MATCHES: 12, LINES: 12, TOGETHER: 6, SEARCHES: 16, WORDS: 64},
)
CONTRAST = Stage(
    name="tell apart",
    steps=600,
    rate=2.5e-4,
    pairs={PSEUDO_QUERIES: 32, DESCRIPTIONS: 24, MATCHES: 16, LINES: 8, TOGETHER: 8, SEARCHES: 16, WORDS: 32},
    contrast=0.1,
)
GRADES = Stage(
    name="grades",
    steps=60,
    rate=5e-5,
    pairs={PSEUDO_QUERIES: 16, DESCRIPTIONS: 8, MATCHES: 6, LINES: 4, TOGETHER: 4, SEARCHES: 8, WORDS: 16},
    lists=6,
    list_items=14,
    contrast=0.1,
    grades=0.2,
)
PLAN = Plan(base=(IMITATE, CONTRAST), final=GRADES)

MULTILINGUAL = Plan(
    layers=(0, 5, 11),
    max_tokens=48,
    words=10_000,
    warm_up=0.03,
    base=(
        msgspec.structs.replace(
            CONTRAST,
            steps=533,
            horizon=800,
            rate=2e-4,
            # The layers are those of the English student, but rows of Chinese pieces begin far from where they belong.
            table=2.0,
            pairs={
                PSEUDO_QUERIES: 28, DESCRIPTIONS: 2, MATCHES: 3, LINES: 2, TOGETHER: 1, SEARCHES: 40, WORDS: 56,
                TRANSLATIONS: 48,
            },
        ),
        msgspec.structs.replace(
            CONTRAST,
            name="return",
            steps=160,
            rate=1e-4,
            table=2.0,
            pairs={
                PSEUDO_QUERIES: 56, DESCRIPTIONS: 10, MATCHES: 8, LINES: 8, TOGETHER: 2, SEARCHES: 32, WORDS: 24,
                TRANSLATIONS: 24,
            },
        ),
    ),
    rows=msgspec.structs.replace(
        CONTRAST,
        name="rows",
        steps=160,
        rate=4e-4,
        table=1.0,
        pairs={PSEUDO_QUERIES: 24, SEARCHES: 72, WORDS: 32, TRANSLATIONS: 32},
        contrast=0.15,
    ),
)  # fmt: skip
"""Chinese and English: more searches than titles, because more Chinese searches than titles can be had. The student
begins as the English one (`english_start.py`), so Chinese has the larger part of each batch. `return` has more English
texts. At the end Chinese rows adapt to layers that were moved back to the English ones; English vectors stay."""
PLANS = {"english": PLAN, "multilingual": MULTILINGUAL}
"""The plan for a student of each teacher."""
