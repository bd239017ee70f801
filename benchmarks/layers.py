"""Sampled stacks, and the layer of the worker that each belongs to. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ELSEWHERE = "event loop and the rest"

LAYERS: tuple[tuple[str, str], ...] = (
    ("retrieve", r"inference/retrieval/(?!vectors)|\bretrieve \(inference/pipeline"),
    ("score", r"inference/ranking/(features|scorer)|\brank \(inference/pipeline"),
    ("rank", r"\border \(inference/pipeline|inference/ranking/reasons"),
    (
        "encode a query",
        r"inference/encoding/(?!session)|\bencode(_queries|_each)? \((streams/scoring|inference/bundle)",
    ),
    ("thread hops", r"streams/(batch|scoring)\.py|concurrent/futures|_write_to_self|_read_from_self"),
    ("decode", r"\b(decode_\w+|parse_\w+|_read) \(streams/contracts/serde|streams/contracts/(keys|refusals)"),
    ("encode the list", r"\bencode_json \(streams/contracts/serde|\bcompose \(streams/engine|\brecommendation_id \("),
    (
        "profile",
        r"streams/(profiles/|engine|items/|state/rocksdb)|\b(read_many|put_many|_note) \(streams/state/table",
    ),
    ("produce", r"aiokafka/producer/|streams/kafka/producer|aiokafka/record/(default_records|_crecords).*build"),
    ("consume", r"aiokafka/(consumer|record)/|faust/|mode/(utils|services)|streams/worker/(service|consuming)"),
    ("network", r"aiokafka/(conn|client|cluster|protocol|util)|asyncio/(streams|selector_events|protocols|transports)"),
    ("in flight and metrics", r"streams/worker/(event_path|checkpoint|monitor)|streams/metrics|prometheus_client/"),
)
"""Names of layers, and the frames that belong to them. Of a stack's frames, the innermost that matches any decides."""

EVERY_LAYER = (*(name for name, _ in LAYERS), ELSEWHERE)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in LAYERS)
_WAITING = re.compile(r"Selector\.select \(|^_worker \(concurrent/futures/thread")
"""Innermost frames of a thread that waits for work. py-spy leaves most of them out, but not on every system."""
_OURS = re.compile(r"\((streams|inference|faust|aiokafka|prometheus_client)/")
_LINE = re.compile(r":\d+\)$")


@dataclass(frozen=True, slots=True)
class Stack:
    """Frames from the outermost to the innermost, as `function (path/file.py)`, and how often they were seen."""

    frames: tuple[str, ...]
    samples: int


def parse(raw: str) -> list[Stack]:
    """Read py-spy's raw format: a line for each stack, frames between semicolons, the count at its end.

    Stacks that wait are left out.
    """
    stacks = []
    for line in raw.splitlines():
        frames, _, samples = line.rpartition(" ")
        stack = Stack(tuple(_LINE.sub(")", frame) for frame in frames.split(";")), int(samples))
        if not _WAITING.search(stack.frames[-1]):
            stacks.append(stack)
    return stacks


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
    """Count samples by function: those in its own code, or, for ours and our libraries', in what it calls as well."""
    counts: Counter[str] = Counter()
    for stack in stacks:
        frames = stack.frames[-1:] if own else {frame for frame in stack.frames if _OURS.search(frame)}
        for frame in frames:
            counts[frame] += stack.samples
    return counts
