"""A new version of a bundle with a sequence model: written, loaded, verified, kept by a new ranker, and refused."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra `train`")

from inference.bundle import Bundle, load_bundle
from inference.errors import BundleError
from inference.kernels.sequence_layers import SequenceWeights
from inference.manifest import MANIFEST, RANKER, DataInput, Manifest
from inference.manifest_files import read_manifest
from inference.retrieval.sequence import SequenceModel
from inference.verification import verify_bundle
from streams.items.encoded import encode_catalogue
from streams.replay import Replay
from streams.settings import load_settings
from tests.conftest import BUNDLE
from tests.inference.retrieval.behaviours import sequence_model
from tests.training.evaluation.small_shop import ITEMS, random_events
from training.ranker.bundle import with_ranker
from training.ranker.network import to_onnx, unfitted
from training.sequence.bundle import FILES, residual_file, with_sequence

INPUTS = (DataInput(part="sequence", name="events.jsonl", sha256="a" * 64, bytes=1),)


def model_of(bundle: Bundle) -> SequenceModel:
    """Return a small model for the bundle's vectors."""
    small = sequence_model()
    project = np.random.default_rng(0).normal(size=(bundle.dim, small.width)).astype(np.float32)
    return SequenceModel(small.weights._replace(project=project), small.keys, small.residuals)


@pytest.fixture(scope="module")
def folder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "shop" / "2"
    model = model_of(bundle)
    with_sequence(BUNDLE, target, model.weights, model.keys, model.residuals, INPUTS)
    return target


def test_the_model_is_read_as_it_was_written(bundle: Bundle, folder: Path) -> None:
    given, read = model_of(bundle), load_bundle(folder).sequence
    assert read is not None
    for name, one, other in zip(SequenceWeights._fields, given.weights, read.weights, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=name)
    np.testing.assert_array_equal(read.keys, given.keys)
    np.testing.assert_allclose(read.residuals, given.residuals, atol=2e-3)
    assert bundle.sequence is None


def test_every_file_is_verified(folder: Path) -> None:
    found = {finding.check: finding for finding in verify_bundle(folder)}
    assert all(finding.passed for finding in found.values())
    assert {FILES["sequence"], FILES["residuals"], f"{FILES['sequence']}, vectors"} <= set(found)


def test_a_new_ranker_keeps_the_sequence_model(folder: Path, tmp_path: Path) -> None:
    made = with_ranker(folder, tmp_path / "shop" / "3", to_onnx(unfitted()))
    assert made.manifest.sequence == read_manifest(folder).sequence
    # The data of the former ranker are no inputs any more.
    others = (each for each in read_manifest(BUNDLE).inputs if each.part != RANKER)
    assert made.manifest.inputs == (*others, *INPUTS)
    assert made.sequence is not None


def test_a_worker_and_a_replay_list_its_items(folder: Path) -> None:
    settings = load_settings({"list_size": 3, "sources": ["sequence"]})
    bundle = load_bundle(folder)
    events = random_events(3, 30)
    records = encode_catalogue(bundle, ITEMS)
    lists = list(Replay(settings, bundle, records).recommend(events))
    sources = {source for made in lists for item in made.items for source in item.sources}
    assert sources == {"sequence"}
    # One event at a time, as a worker may process them.
    one_by_one = Replay(settings, bundle, records)
    again = [made for event in events for made in one_by_one.recommend([event])]
    assert [[item.item_id for item in made.items] for made in again] == [
        [item.item_id for item in made.items] for made in lists
    ]


def other_vector(manifest: Manifest, content: dict[str, bytes]) -> Manifest:
    assert manifest.sequence is not None
    golden = manifest.sequence.golden
    turned = msgspec.structs.replace(golden[0], vector=golden[1].vector)
    return msgspec.structs.replace(
        manifest, sequence=msgspec.structs.replace(manifest.sequence, golden=(turned, golden[1]))
    )


def impossible_action(manifest: Manifest, content: dict[str, bytes]) -> Manifest:
    assert manifest.sequence is not None
    wrong = msgspec.structs.replace(manifest.sequence.golden[0], actions=(99,))
    return msgspec.structs.replace(manifest, sequence=msgspec.structs.replace(manifest.sequence, golden=(wrong,)))


def wide_residuals(manifest: Manifest, content: dict[str, bytes]) -> Manifest:
    content[FILES["residuals"]] = residual_file(np.array([5], dtype=np.uint64), np.zeros((1, 3), dtype=np.float32))
    return manifest


def no_residuals(manifest: Manifest, content: dict[str, bytes]) -> Manifest:
    content[FILES["residuals"]] = b"nothing"
    return manifest


def the_ranker(manifest: Manifest, content: dict[str, bytes]) -> Manifest:
    content[FILES["sequence"]] = (BUNDLE / "ranker.onnx").read_bytes()
    return manifest


FAULTS: dict[str, tuple[Callable[[Manifest, dict[str, bytes]], Manifest], str]] = {
    "other golden vector": (other_vector, "its graph: required the golden vector to a cosine of 0.998"),
    "impossible action": (impossible_action, "the golden inputs of the manifest fail"),
    "residuals of another width": (wide_residuals, "residuals: required an array of"),
    "no residuals": (no_residuals, "the sequence model: cannot be used"),
    "another graph": (the_ranker, "the manifest requires the sequence graph to map"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_model_is_refused(folder: Path, tmp_path: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    content = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}
    manifest = change(read_manifest(folder), content)
    copy = tmp_path / "shop" / "2"
    copy.mkdir(parents=True)
    files = tuple(
        msgspec.structs.replace(file, sha256=sha256(content[file.name]).hexdigest(), bytes=len(content[file.name]))
        for file in manifest.files
    )
    for name, each in content.items():
        (copy / name).write_bytes(each)
    (copy / MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, files=files)))
    with pytest.raises(BundleError, match=message):
        load_bundle(copy)
