"""Fits rankers to a shop's own events before the test period."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from inference.bundle import Bundle, load_bundle
from inference.errors import InferenceError
from streams.contracts.messages import Interaction
from streams.replay import Replay
from training.ranker.gather import Sampling, as_examples, example_lists, first_ranked, ranked_period
from training.ranker.network import Ranker, to_onnx

LISTS, AFTER, NEGATIVES = 6000, 0.3, 60
"""A ranker is fitted to about LISTS lists, after the share AFTER of the learning period, with NEGATIVES each."""
Progress = Callable[[int], None]


def silent(_steps: int) -> None:
    """Show no progress."""


def rules(learning: int, seed: int, session_gap_ms: int, *, with_arrivals: bool) -> Sampling:
    """Return the rules that select examples from a learning period of so many events."""
    share = min(1.0, LISTS / max((1 - AFTER) * learning, 1))
    return Sampling(seed, AFTER, share, share if with_arrivals else 0.0, NEGATIVES, session_gap_ms=session_gap_ms)


def fitted(replay: Replay, known: Sequence[Interaction], sampling: Sampling, progress: Progress = silent) -> Ranker:
    """Learn the events of the learning period, and return a ranker that is fitted to them. Needs scipy.

    Raises:
        BundleError: shoppers acted on nothing.
    """
    from training.ranker.fit import fit

    first = first_ranked(known, sampling)
    replay.learn(known[:first])
    progress(first)
    return fit(as_examples(list(example_lists(replay, known, sampling, progress, learned=first))), seed=sampling.seed)


def fitted_bundle(
    replay: Replay, known: Sequence[Interaction], sampling: Sampling, paths: tuple[Path, Path], progress: Progress
) -> Bundle:
    """Return the bundle in the first of two folders with a ranker fitted to `known`, written to the second folder.

    If the second folder has been written before, its bundle is returned.

    Raises:
        BundleError: shoppers acted on nothing, or the first folder is no bundle.
    """
    from training.ranker.bundle import with_ranker

    source, target = paths
    try:
        return load_bundle(target)
    except InferenceError:
        # There is none, or a run was interrupted while it wrote it.
        shutil.rmtree(target, ignore_errors=True)
    ranker = fitted(replay, known, sampling, progress)
    target.parent.mkdir(parents=True, exist_ok=True)
    return with_ranker(source, target, to_onnx(ranker), ranked_period(known, sampling))
