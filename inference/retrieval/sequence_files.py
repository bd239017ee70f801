"""Reads the sequence model from the files of a bundle, and checks it against golden outputs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from inference.errors import BundleError, ScoringError
from inference.kernels.gaps import GAPS
from inference.kernels.sequence_layers import SequenceWeights
from inference.queries import ACTIONS, QUERY, RECENT
from inference.retrieval.catalogue import Catalogue
from inference.retrieval.columns import BYTES
from inference.retrieval.sequence import SequenceModel, SequenceSource
from inference.retrieval.vectors import dequantise, quantise
from inference.types import NO_KEYS, Item, Vector, stable_key

if TYPE_CHECKING:
    from inference.encoding.session import Session
    from inference.manifest import GoldenSequence

MIN_COSINE = 0.998
"""Least cosine of a computed vector to its golden one."""


def residual_type(width: int) -> np.dtype[np.void]:
    """Return the dtype of the file of residuals, a NumPy array in order of the stable keys."""
    return np.dtype([("key", "<u8"), ("residual", "<f2", (width,))])


def read_model(graph: bytes, residuals: bytes | None, *, dim: int) -> SequenceModel:
    """Return the model in a serialised ONNX graph, with the residuals in a .npy file.

    Raises:
        BundleError: the constants of the graph, or the residuals, have not the names, shapes or types required.
    """
    import onnx
    from onnx import numpy_helper

    named = {each.name: numpy_helper.to_array(each) for each in onnx.load_model_from_string(graph).graph.initializer}
    if missing := [name for name in SequenceWeights._fields if name not in named]:
        raise BundleError(f"sequence graph: required the constants {', '.join(missing)}, got a graph without them")
    arrays = {name: np.asarray(named[name]) for name in SequenceWeights._fields}
    required = _shapes(arrays, dim)
    for name, shape in required.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float32:
            raise BundleError(
                f"sequence graph: {name}: required float32 {shape}, got {arrays[name].dtype} {arrays[name].shape}"
            )
    # Copies, because the kernels' signatures require writeable arrays.
    weights = SequenceWeights(**{name: np.array(each, order="C") for name, each in arrays.items()})
    if not all(np.isfinite(each).all() for each in weights):
        raise BundleError("sequence graph: required finite weights, got others")
    return SequenceModel(weights, *_residuals(residuals, len(weights.enter_bias)))


def _shapes(arrays: dict[str, np.ndarray], dim: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each constant, from the width and the numbers of heads and hidden units."""
    width, units = (arrays[name].size for name in ("enter_bias", "up_bias"))
    heads = len(arrays["ranks"]) if arrays["ranks"].ndim else 0
    if not width or width % BYTES or not heads or width % heads:
        raise BundleError(f"sequence graph: required a width that is a multiple of {BYTES} and of the heads, got "
                          f"{width} and {heads} heads")  # fmt: skip
    square = dict.fromkeys(("enter", "query", "key", "value", "mix", "leave"), (width, width))
    flat = dict.fromkeys(
        ("project_bias", "enter_bias", "query_bias", "value_bias", "mix_bias", "down_bias", "leave_bias"), (width,)
    )
    return {
        **square,
        **flat,
        "project": (dim, width),
        "actions": (len(ACTIONS), width),
        "norms": (3, 2, width),
        "ranks": (heads, RECENT),
        "gaps": (heads, GAPS),
        "up": (width, units),
        "up_bias": (units,),
        "down": (units, width),
        "pauses": (GAPS, width),
        "skip": (heads,),
        "scale": (1,),
    }


def _residuals(content: bytes | None, width: int) -> tuple[np.ndarray, Vector]:
    if content is None:
        return NO_KEYS, np.empty((0, width), dtype=np.float32)
    table = np.load(io.BytesIO(content), allow_pickle=False)
    if table.dtype != residual_type(width) or table.ndim != 1:
        raise BundleError(f"residuals: required an array of {residual_type(width)}, got {table.dtype} {table.shape}")
    keys, residuals = np.ascontiguousarray(table["key"]), table["residual"].astype(np.float32)
    if not (keys[1:] > keys[:-1]).all() or not np.isfinite(residuals).all():
        raise BundleError("residuals: required ascending keys and finite numbers, got others")
    return keys, residuals


def check_sequence(where: str, model: SequenceModel, session: Session, golden: GoldenSequence, items: Vector) -> None:
    """Require that the graph and the compiled network compute a golden vector from its items' vectors (n, dim).

    Raises BundleError.
    """
    number = len(golden.texts)
    places = golden.actions, golden.gaps
    if not 0 < number <= RECENT or any(len(each) != number for each in places):
        raise BundleError(f"{where}: required 1 to {RECENT} golden actions with their gaps, got {number}")
    if len(golden.vector) != 2 * model.width:
        raise BundleError(f"{where}: required a golden vector of {2 * model.width} bytes, got {len(golden.vector)}")
    required = np.frombuffer(golden.vector, dtype="<f2").astype(np.float32)
    length = max(float(np.linalg.norm(required)), 1e-9)
    try:
        # The graph refuses places outside of its tables. The network, which does not, must run after it.
        computed = (("graph", by_graph(session, golden, items)), ("network", by_network(model, golden, items)))
    except ScoringError as error:
        raise BundleError(f"{where}: the golden inputs of the manifest fail: {error}") from error
    for name, vector in computed:
        cosine = float(vector @ required) / length
        if not cosine >= MIN_COSINE:
            raise BundleError(
                f"{where}, its {name}: required the golden vector to a cosine of {MIN_COSINE}, got {cosine:.4f}"
            )


def by_graph(session: Session, golden: GoldenSequence, items: Vector) -> Vector:
    """Return the vector that the graph computes, (width,)."""
    number = len(items)
    vectors = np.zeros((1, RECENT, items.shape[1]), dtype=np.float32)
    vectors[0, :number] = items
    actions, gaps = np.zeros((2, 1, RECENT), dtype=np.int64)
    actions[0, :number], gaps[0, :number] = golden.actions, golden.gaps
    inputs: dict[str, np.ndarray] = {
        "vectors": vectors,
        "action_places": actions,
        "gap_places": gaps,
        "pause_places": np.array([golden.pause], dtype=np.int64),
        "lengths": np.array([number], dtype=np.int64),
    }
    return np.asarray(session.run(inputs)[0, 0])


def by_network(model: SequenceModel, golden: GoldenSequence, items: Vector) -> Vector:
    """Return the vector that the compiled network computes, (width,)."""
    ids = [f"golden {number}" for number in range(len(items))]
    catalogue = Catalogue(items.shape[1], index_words=False)
    for item_id, vector in zip(ids, quantise(items), strict=True):
        catalogue.upsert(Item(item_id=item_id, title=item_id), vector)
    records = np.zeros(1, dtype=QUERY)
    records["recent_length"], records["pause"] = len(items), golden.pause
    records["recent"][0, : len(items)] = [stable_key(item_id) for item_id in ids]
    records["recent_actions"][0, : len(items)] = golden.actions
    records["recent_gaps"][0, : len(items)] = golden.gaps
    vectors, _ = SequenceSource(model).vectors(records, catalogue)
    return np.asarray(dequantise(vectors[0]))
