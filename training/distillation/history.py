"""The history of a training run, on disk line by line, and the report made from it: report.md and its plots."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from inference.errors import DataError
from training.distillation.corpus import Corpus
from training.distillation.plan import Plan, Stage

REPORT, LOSSES, VALIDATION = "report.md", "losses.png", "validation.png"
_SMOOTHED = 25


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    """A training step: its run and stage, the weighted losses by name, the number of texts and the seconds."""

    run: str
    stage: str
    step: int
    losses: dict[str, float]
    texts: int
    seconds: float


class Check(msgspec.Struct, frozen=True, kw_only=True, tag="check"):
    """A validation before `step`: mean cosine to the targets on held-out titles, NDCG@10 of graded queries if any."""

    run: str
    stage: str
    step: int
    cosine: float
    ndcg: float | None = None


Entry = Step | Check


class History:
    """Entries in the order in which they were made. Of a step that a killed run made twice, the last entry counts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, entry: Entry) -> None:
        """Append an entry, in place of half a line that a kill left at the end."""
        with self._path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write(msgspec.json.encode(entry) + b"\n")

    def entries(self) -> Iterator[Entry]:
        """Yield each step and check once, in order. Raises DataError."""
        found: dict[tuple[str, str, str, int], Entry] = {}
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        for number, line in enumerate(lines, start=1):
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except msgspec.DecodeError as error:
                if number == len(lines):
                    break  # A kill can leave half a line at the end.
                raise DataError(f"{self._path}, line {number}: {error}") from error
            key = (type(entry).__name__, entry.run, entry.stage, entry.step)
            found.pop(key, None)
            found[key] = entry
        yield from found.values()


@dataclass(frozen=True, slots=True)
class Figures:
    """NDCG@10 over the graded queries with mixed grades; `queries` is their number, 0 if there are none.

    `targets` is that of the vectors that the student imitates: the teacher's own, or centred and blended ones.
    """

    queries: int
    targets: float
    held_out: float
    shipped: float


def write_report(
    folder: Path, plan: Plan, corpus: Corpus, figures: Figures, entries: Sequence[Entry], begin: str = "the teacher"
) -> None:
    """Write report.md, losses.png and validation.png into `folder`. `begin` names the model of the first layers."""
    steps = [each for each in entries if isinstance(each, Step)]
    checks = [each for each in entries if isinstance(each, Check)]
    _plot_losses(folder / LOSSES, [each for each in steps if each.run in {"base", "rows", "final"}])
    _plot_checks(folder / VALIDATION, [each for each in checks if each.run in {"base", "rows", "final"}], figures)
    parts = [_summary(plan, corpus, steps, begin), _figures(plan, figures, checks), _stages(plan), _texts(corpus)]
    (folder / REPORT).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _summary(plan: Plan, corpus: Corpus, steps: Sequence[Step], begin: str) -> str:
    hours = sum(each.seconds for each in steps) / 3600
    texts = sum(each.texts for each in steps)
    return (
        f"# Training report\n\n{len(plan.layers)} layers of {begin}, plan `{plan.digest}`, seed "
        f"{plan.seed}, {len(corpus.texts):,} texts; {len(steps):,} steps, {texts:,} texts seen, {hours:.2f} "
        f"hours of training on one thread{' in bfloat16' if plan.bfloat16 else ''}, cross-validation included.\n\n"
        f"![Losses]({LOSSES})\n\n![Validation]({VALIDATION})"
    )


def _figures(plan: Plan, figures: Figures, checks: Sequence[Check]) -> str:
    lines = ["## Figures", "", "| | |", "|---|---|"]
    if checks:
        lines.append(f"| mean cosine to the targets, held-out titles | {checks[-1].cosine:.4f} |")
    if figures.queries:
        lines += [
            f"| NDCG@10 of {figures.queries} graded queries, the vectors imitated | {figures.targets:.4f} |",
        ]
        if plan.final is not None:
            lines += [
                f"| **student, on queries that it was not trained on** | **{figures.held_out:.4f}** |",
                f"| student as shipped, int8, trained on these queries | {figures.shipped:.4f} |",
            ]
        else:
            lines.append(f"| student as shipped, int8 | {figures.shipped:.4f} |")
    return "\n".join(lines)


def _stages(plan: Plan) -> str:
    lines = ["## Stages", "", "| | steps | rate | pairs a batch | weights of the losses |", "|---|---|---|---|---|"]
    stages: Iterable[Stage] = (*plan.base, *(each for each in (plan.rows, plan.final) if each))
    for stage in stages:
        pairs = ", ".join(f"{name} {size}" for name, size in stage.pairs.items())
        pairs += f", graded queries {stage.lists}" if stage.lists else ""
        names = ("cosine", "matrix", "contrast", "grades")
        weights = ", ".join(f"{name} {getattr(stage, name):g}" for name in names if getattr(stage, name))
        lines.append(f"| {stage.name} | {stage.steps:,} | {stage.rate:g} | {pairs} | {weights} |")
    return "\n".join(lines)


def _texts(corpus: Corpus) -> str:
    lines = ["## Texts", "", "| source | pairs or texts |", "|---|---|"]
    lines += [f"| {name} | {len(pairs):,} |" for name, pairs in corpus.pairs.items()]
    lines.append(f"| graded queries | {len(corpus.graded):,} |")
    return "\n".join(lines)


def _plot_losses(path: Path, steps: Sequence[Step]) -> None:
    figure, axes = _figure()
    series: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for at, step in enumerate(steps):
        for name, value in step.losses.items():
            series[name].append((at, value))
    for name, points in series.items():
        places, values = np.array([x for x, _ in points]), np.array([y for _, y in points])
        width = min(_SMOOTHED, len(values))
        smooth = np.convolve(values, np.ones(width) / width, mode="valid")
        axes.plot(places[width - 1 :], smooth, label=name, linewidth=1.2)
    for at in range(1, len(steps)):
        if steps[at].stage != steps[at - 1].stage:
            axes.axvline(at, color="grey", linewidth=0.6, linestyle=":")
            axes.text(at, axes.get_ylim()[1], f" {steps[at].stage}", va="top", fontsize=8)
    axes.set(xlabel="step", ylabel=f"weighted loss, mean of {_SMOOTHED} steps", yscale="log")
    axes.legend(frameon=False)
    _save(figure, path)


def _plot_checks(path: Path, checks: Sequence[Check], figures: Figures) -> None:
    figure, axes = _figure()
    at = list(range(len(checks)))
    axes.plot(at, [each.cosine for each in checks], marker="o", label="cosine to the targets, held-out titles")
    graded = [
        (x, each.ndcg) for x, each in zip(at, checks, strict=True) if each.ndcg is not None and each.run == "base"
    ]
    if graded:
        axes.plot(*zip(*graded, strict=True), marker="s", label="NDCG@10, graded queries, none trained on")
    if figures.queries:
        axes.axhline(figures.targets, color="grey", linewidth=0.8, linestyle="--", label="NDCG@10, targets")
        if figures.held_out:
            axes.axhline(figures.held_out, color="black", linewidth=0.8, label="NDCG@10, held-out folds, at the end")
    axes.set(xlabel="check", xticks=at, xticklabels=[f"{each.stage} {each.step}" for each in checks])
    axes.tick_params(axis="x", labelrotation=20, labelsize=7)
    axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def _figure() -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, dpi=110)
    pyplot.close(figure)
