"""Sampled stacks and the layer of the worker that each belongs to. No I/O."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ELSEWHERE = "event loop and the rest"

LAYERS: tuple[tuple[str, str], ...] = (
    (
        "retrieve",
        r"inference/(retrieval/(?!vectors)|queries|kernels/(keytable|votes))|\b(retrieve|find|merge) \(inference/pipe",
    ),
    ("score", r"inference/ranking/(feature|scorer)|\b(features|rank) \(inference/pipeline"),
    (
        "choose and explain",
        r"\border \(inference/pipeline|inference/ranking/(choice|diversity|lists|occlusion|reasons)",
    ),
    ("encode a query", r"inference/encoding/(?!session)|\b_?encode(_query)? \((streams/scoring|inference/bundle)"),
    ("batching and threads", r"streams/(batch(ing)?\.|scoring)|concurrent/futures|_write_to_self|_read_from_self"),
    ("decode", r"\b(decode_\w+|parse_\w+|_read|_check_\w+) \(streams/contracts/serde|streams/contracts/refusals"),
    ("encode the list", r"\bencode_json \(streams/contracts/serde|\bcompose \(streams/engine|\brecommendation_id \("),
    (
        "trends and behaviour",
        r"streams/(items/|behaviour/|learned|worker/(transition_path|cooccurrence_path|trend_path|broadcasts|behaviour_updates|item_path))",
    ),
    ("profile", r"streams/(profiles/|engine|state/|protection)"),
    (
        "produce",
        r"aiokafka/producer/|streams/kafka/producer|aiokafka/record/(default_records|_crecords).*build",
    ),
    ("consume", r"aiokafka/(consumer|record)/|faust/|mode/(utils|services)|streams/worker/(service|faust/)"),
    ("network", r"aiokafka/(conn|client|cluster|protocol|util)|asyncio/(streams|selector_events|protocols|transports)"),
    (
        "in flight and metrics",
        r"streams/worker/(event_path|delivery|checkpoint)|streams/(metrics|histogram)|prometheus_client/",
    ),
)
"""Names of layers and the frames that belong to them. The innermost frame of a stack that matches any pattern decides.

Compiled kernels have no frames. Their samples count for the layer of the Python function that called them.
"""

EVERY_LAYER = (*(name for name, _ in LAYERS), ELSEWHERE)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in LAYERS)
_WAITING = re.compile(r"Selector\.select \(|^_worker \(concurrent/futures/thread")
"""Innermost frames of a thread that waits for work. py-spy omits most of them, but not on every system."""
_OURS = re.compile(r"\((streams|inference|faust|aiokafka|prometheus_client)/")
_CALLS_KERNEL = re.compile(r"\(inference/kernels/compiler\.py")
_LINE = re.compile(r":\d+\)$")


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames from the outermost to the innermost, as `function (path/file.py)`, and the number of samples."""

    frames: tuple[str, ...]
    samples: int


def parse(raw: str) -> list[Stack]:
    """Read py-spy's raw format: one line for each stack, frames separated by semicolons, with the count at the end.

    Waiting stacks are omitted.
    """
    stacks = []
    for line in raw.splitlines():
        frames, _, samples = line.rpartition(" ")
        stack = Stack(_with_kernel([_LINE.sub(")", frame) for frame in frames.split(";")]), int(samples))
        if not _WAITING.search(stack.frames[-1]):
            stacks.append(stack)
    return stacks


def _with_kernel(frames: list[str]) -> tuple[str, ...]:
    """Name a kernel after its caller: the innermost frame of every kernel is the call in `compiler.py`."""
    if len(frames) > 1 and _CALLS_KERNEL.search(frames[-1]):
        frames[-1] = f"kernel of {frames[-2]}"
    return tuple(frames)


def layer(frames: Sequence[str]) -> str:
    """Return the layer of a stack."""
    for frame in reversed(frames):
        for name, pattern in _PATTERNS:
            if pattern.search(frame):
                return name
    return ELSEWHERE


def by_layer(stacks: Sequence[Stack]) -> Counter[str]:
    """Count samples by layer."""
    counts: Counter[str] = Counter()
    for stack in stacks:
        counts[layer(stack.frames)] += stack.samples
    return counts


def by_function(stacks: Sequence[Stack], *, own: bool) -> Counter[str]:
    """Count samples by function.

    `own` counts samples in the function's own code. Otherwise, the functions that it calls count as well, for the
    project's functions and those of the Kafka and Faust libraries.
    """
    counts: Counter[str] = Counter()
    for stack in stacks:
        frames = stack.frames[-1:] if own else {frame for frame in stack.frames if _OURS.search(frame)}
        for frame in frames:
            counts[frame] += stack.samples
    return counts
