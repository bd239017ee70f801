"""Writes the training report of a bundle: report.md and its plots."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.distillation.history import Check, Entry, Step
from training.distillation.plan import Plan, Stage

if TYPE_CHECKING:
    from training.distillation.distill import Student
    from training.distillation.finish import Figures

REPORT, LOSSES, VALIDATION = "report.md", "losses.png", "validation.png"
_SMOOTHED = 25


def write_report(folder: Path, plan: Plan, student: Student, figures: Figures, entries: Sequence[Entry]) -> None:
    """Write report.md, losses.png and validation.png into `folder`."""
    steps = [each for each in entries if isinstance(each, Step)]
    checks = [each for each in entries if isinstance(each, Check)]
    _plot_losses(folder / LOSSES, [each for each in steps if each.run in {"base", "final"}])
    _plot_checks(folder / VALIDATION, [each for each in checks if each.run in {"base", "final"}], figures)
    parts = [_summary(plan, student, steps), _figures(figures, checks), _stages(plan), _seen(student)]
    (folder / REPORT).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _summary(plan: Plan, student: Student, steps: Sequence[Step]) -> str:
    hours = sum(each.seconds for each in steps) / 3600
    texts = sum(each.texts for each in steps)
    return (
        f"# Training report\n\nLayers {', '.join(map(str, plan.layers))} of the teacher, plan `{plan.digest}`, seed "
        f"{plan.seed}, {len(student.corpus.texts):,} texts; {len(steps):,} steps, {texts:,} texts seen, {hours:.2f} "
        f"hours of training on one thread{' in bfloat16' if plan.bfloat16 else ''}, cross-validation included.\n\n"
        f"![Losses]({LOSSES})\n\n![Validation]({VALIDATION})"
    )


def _figures(figures: Figures, checks: Sequence[Check]) -> str:
    lines = ["## Figures", "", "| | |", "|---|---|"]
    if checks:
        lines.append(f"| mean cosine to the teacher, held-out titles | {checks[-1].cosine:.4f} |")
    if figures.queries:
        lines += [
            f"| NDCG@10 of {figures.queries} graded queries, teacher | {figures.teacher:.4f} |",
            f"| **student, on queries that it was not trained on** | **{figures.held_out:.4f}** |",
            f"| student as shipped, int8, trained on these queries | {figures.shipped:.4f} |",
        ]
    return "\n".join(lines)


def _stages(plan: Plan) -> str:
    lines = ["## Stages", "", "| | steps | rate | pairs a batch | weights of the losses |", "|---|---|---|---|---|"]
    stages: Iterable[Stage] = (*plan.base, *([plan.final] if plan.final else []))
    for stage in stages:
        pairs = ", ".join(f"{name} {size}" for name, size in stage.pairs.items())
        pairs += f", graded queries {stage.lists}" if stage.lists else ""
        names = ("cosine", "matrix", "contrast", "grades")
        weights = ", ".join(f"{name} {getattr(stage, name):g}" for name in names if getattr(stage, name))
        lines.append(f"| {stage.name} | {stage.steps:,} | {stage.rate:g} | {pairs} | {weights} |")
    return "\n".join(lines)


def _seen(student: Student) -> str:
    lines = ["## Texts", "", "| source | pairs or texts |", "|---|---|"]
    lines += [f"| {name} | {len(pairs):,} |" for name, pairs in student.corpus.pairs.items()]
    lines.append(f"| graded queries | {len(student.corpus.graded):,} |")
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
    axes.plot(at, [each.cosine for each in checks], marker="o", label="cosine to the teacher, held-out titles")
    graded = [
        (x, each.ndcg) for x, each in zip(at, checks, strict=True) if each.ndcg is not None and each.run == "base"
    ]
    if graded:
        axes.plot(*zip(*graded, strict=True), marker="s", label="NDCG@10, graded queries, none trained on")
    if figures.queries:
        axes.axhline(figures.teacher, color="grey", linewidth=0.8, linestyle="--", label="NDCG@10, teacher")
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
