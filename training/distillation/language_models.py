"""The encoders that `python -m training.distillation languages` compares."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

from inference.chinese import is_chinese
from inference.encoding.providers import CPU
from inference.errors import DataError
from inference.loading import Loader
from inference.manifest import CATALOGUE, QUERY
from inference.manifest_files import read_manifest
from inference.types import Vector
from training.distillation.languages import Encode, Model
from training.distillation.teacher import CENTRES, Teacher
from training.distillation.teachers import teacher_of

_BGE = "bge-small-zh-v1.5-q"
BGE_PREFIX = "为这个句子生成表示以用于检索相关文章:"
"""The instruction before queries that its authors recommend for retrieval."""
_BATCH = 32
_MOST_TOKENS = 128


def models_of(into: Path, work: Path, beside: Sequence[Path], bge: Path | None) -> list[Model]:
    """Return the bundle's encoder, its teacher, those of other bundles and bge-small-zh-v1.5.

    Raises:
        BundleError: a bundle is damaged.
        DataError: `work` is not the work folder of a student of the teacher, or `bge` is not the archive.
    """
    source = teacher_of(read_manifest(into).created_from)
    models = [_bundle(into), *_teachers(source, work), *map(_bundle, beside)]
    return models + ([_bge(bge)] if bge else [])


def _bundle(folder: Path) -> Model:
    manifest = read_manifest(folder)
    loader = Loader(folder, manifest)
    return Model(manifest.name, loader.encoder_for(QUERY).encode, loader.encoder_for(CATALOGUE).encode)


def _teachers(source: Teacher, work: Path) -> list[Model]:
    """Return the teacher as published, and as the student imitates it if these are not the same."""
    encoder = source.encoder(source.unpack(work))
    name = source.origin.model.rpartition("/")[2]
    encode = remembering(encoder.encode)
    found = [Model(name, encode, encode)]
    if source.centred:
        try:
            means = np.load(work / CENTRES)
        except (OSError, ValueError) as error:
            raise DataError(f"{work / CENTRES}: required the means of the teacher's vectors, got: {error}") from error

        def imitated(texts: Sequence[str]) -> Vector:
            moved = encode(texts) - means[[int(is_chinese(text)) for text in texts]]
            return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)

        found.append(Model(f"{name}, centred", imitated, imitated))
    return found


def remembering(encode: Encode) -> Encode:
    """Return a function that encodes each text once."""
    known: dict[str, Vector] = {}

    def encoded(texts: Sequence[str]) -> Vector:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, encode(new), strict=True))
        return np.stack([known[text] for text in texts])

    return encoded


def _bge(archive: Path) -> Model:
    """Return bge-small-zh-v1.5 in int8: the vector of the first token (MIT; Xiao et al., arXiv:2309.07597)."""
    try:
        with zipfile.ZipFile(archive) as file:
            graph, tokenizer = file.read(f"{_BGE}.onnx"), file.read(f"{_BGE}-tokenizer.json")
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise DataError(f"{archive}: required the archive of bge-small-zh-v1.5, got: {error}") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph, options, providers=[CPU])
    reader = Tokenizer.from_buffer(tokenizer)
    reader.enable_truncation(_MOST_TOKENS)
    reader.no_padding()

    def encode(texts: Sequence[str]) -> Vector:
        tokens = [each.ids for each in reader.encode_batch(list(texts))]
        vectors = np.empty((len(texts), session.get_outputs()[0].shape[-1]), dtype=np.float32)
        # Texts of similar length share a batch, so that little of it is padding.
        order = np.argsort([len(each) for each in tokens], kind="stable")
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            ids = np.zeros((len(rows), max(len(tokens[row]) for row in rows)), dtype=np.int64)
            mask = np.zeros_like(ids)
            for at, row in enumerate(rows):
                ids[at, : len(tokens[row])], mask[at, : len(tokens[row])] = tokens[row], 1
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            (states,) = session.run(None, inputs)[:1]
            first = states[:, 0]
            vectors[rows] = first / np.linalg.norm(first, axis=1, keepdims=True)
        return vectors

    known = remembering(encode)
    return Model("bge-small-zh-v1.5", lambda texts: known([BGE_PREFIX + text for text in texts]), known)
