"""Writes a trained student as a bundle: encoder files, a ranker, held-out scores, report, manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx

from inference.bundle import Bundle
from inference.errors import BundleError
from inference.manifest import RANKER, TOKENIZER, Card, DataInput, Metric, Source
from inference.ranking.features import FEATURES
from training.distillation.distill import Student
from training.distillation.export import shipped_files
from training.distillation.graded import HELD_OUT, HeldOut, held_out_ndcg, mean_ndcg, with_mixed_grades
from training.distillation.history import Check, Figures, History, write_report
from training.distillation.plan import Plan
from training.distillation.teacher import MAX_TOKENS
from training.ranker.bundle import FILES, EncoderInfo, write_manifest
from training.ranker.network import feature_names, to_onnx, unfitted

ENGLISH = Source(
    name="shop-minilm-l3 1, the English student of this project",
    licence="Apache-2.0",
    citation="docs/model.md",
    used_for=(
        "its wordpieces, word rows and layers; its vectors of English texts, blended into the teacher's; "
        "it was trained on the graded queries of Chorus"
    ),
)


def write_bundle(
    student: Student, plan: Plan, output: Path, work: Path, sources: Sequence[Source], inputs: Sequence[DataInput] = ()
) -> Bundle:
    """Write the files of a bundle to `output`, .../NAME/VERSION/, and return the loaded and verified bundle.

    `sources` are the data sets on the card, and `inputs` the shop's own files. An existing ranker stays if it fits.
    Otherwise it is replaced by one that gives every item the same score.

    Raises:
        BundleError: the result does not verify.
    """
    output.mkdir(parents=True, exist_ok=True)
    encoder = student.encoder.pruned()
    files = shipped_files(encoder, student.titles, student.vectors, max_tokens=plan.max_tokens)
    for use, content in files.items():
        (output / use.file).write_bytes(content)
    (output / FILES[TOKENIZER]).write_bytes(encoder.tokenizer)
    keep_ranker(output / FILES[RANKER])
    figures = figures_of(student)
    graded = student.corpus.graded
    if student.held_out:
        scores = {student.corpus.texts[each.query]: student.held_out[at] for at, each in enumerate(graded)}
        held_out = msgspec.json.encode(HeldOut(folds=plan.folds, scores=scores))
        (output / HELD_OUT).write_bytes(held_out + b"\n")
    entries = list(History(work / "history.jsonl").entries())
    english = student.source.english
    write_report(output, plan, student.corpus, figures, entries, ENGLISH.name if english else "the teacher")
    last = [each for each in entries if isinstance(each, Check)][-1]
    card = Card(
        # The student has layers of the English one.
        licence=student.source.origin.licence + (f" AND {ENGLISH.licence}" if english else ""),
        languages=student.source.languages,
        limits=student.source.limits,
        data=(*sources, ENGLISH) if english else tuple(sources),
        metrics=_metrics(figures, last.cosine, plan),
    )
    info = EncoderInfo(encoder.digest, tuple(files), card)
    return write_manifest(output, origin=student.source.origin, max_tokens=MAX_TOKENS, encoder=info, inputs=inputs)


def keep_ranker(path: Path) -> None:
    """Keep a ranker that fits this version's features; replace any other by one that was not fitted."""
    try:
        if path.exists() and feature_names(onnx.load(path)) == FEATURES:
            return
    except (KeyError, ValueError) as error:
        raise BundleError(f"{path}: required a ranker of this project, got: {error}") from error
    # A bundle needs a ranker, and the examples for fitting one need a bundle.
    onnx.save_model(to_onnx(unfitted()), path)


def figures_of(student: Student) -> Figures:
    """Compare the targets, the students not trained on the query, and the student in the bundle."""
    corpus = student.corpus
    chosen = with_mixed_grades(corpus.graded)
    if not chosen:
        return Figures(0, 0.0, 0.0, 0.0)
    texts = sorted({int(i) for each in chosen for i in (each.query, *each.items)})
    vectors = student.encoder.encoder("int8", max_tokens=MAX_TOKENS).encode([corpus.texts[i] for i in texts])
    shipped = mean_ndcg(chosen, dict(zip(texts, vectors, strict=True)))
    return Figures(
        queries=len(chosen),
        targets=mean_ndcg(chosen, lambda text: student.targets[text].astype(np.float32)),
        held_out=held_out_ndcg(corpus.graded, student.held_out) if student.held_out else 0.0,
        shipped=shipped,
    )


def _metrics(figures: Figures, cosine: float, plan: Plan) -> tuple[Metric, ...]:
    by = "intentstream distill"
    metrics = [Metric(name="cosine to the targets", value=round(cosine, 4), measured=f"{by}, held-out titles")]
    if figures.queries:
        where = f"{by}, {figures.queries} graded queries"
        metrics.append(Metric(name="NDCG@10, targets", value=round(figures.targets, 4), measured=where))
        if plan.final is not None:
            how = f"{where}, {plan.folds} folds"
            metrics.append(Metric(name="NDCG@10, held out", value=round(figures.held_out, 4), measured=how))
        else:
            metrics.append(Metric(name="NDCG@10, as shipped", value=round(figures.shipped, 4), measured=where))
    return tuple(metrics)
