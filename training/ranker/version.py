"""A new version of a model: the files of the old one with another ranker and a new manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx

from inference.bundle import Bundle
from inference.errors import BundleError
from inference.manifest import RANKER, read_manifest
from training.ranker.bundle import FILES, write_manifest


def with_ranker(source: Path, target: Path, ranker: onnx.ModelProto) -> Bundle:
    """Write the model in `source` with another ranker to the new folder `target`, .../NAME/VERSION, and load it.

    Raises:
        BundleError: `source` is no model, `target` exists, or the new model does not load.
    """
    known = read_manifest(source)
    try:
        shutil.copytree(source, target)
    except OSError as error:
        raise BundleError(f"{target}: required a new folder, one that does not exist yet, got: {error}") from error
    onnx.save_model(ranker, target / FILES[RANKER])
    return write_manifest(target, origin=known.created_from, max_tokens=known.max_tokens)
