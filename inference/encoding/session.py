"""The interface to ONNX Runtime: opens a graph, runs it, and converts its errors to those of `inference.errors`.

No other module imports onnxruntime. The ranker's session is opened here as well.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from inference.encoding.providers import (
    check_distributions,
    choose_providers,
    confirm_provider,
    installed_distributions,
)
from inference.errors import BundleError, ProviderError, ScoringError

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort

_ERROR_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Session:
    """An open graph with one output. `run` may be called from several threads at once; it releases the GIL."""

    name: str
    provider: str
    inputs: tuple[str, ...]
    output: str
    runtime: ort.InferenceSession

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Return the graph's output for `inputs`, arrays by the names in `self.inputs`.

        Raises:
            ScoringError: the graph refuses the inputs or fails on them.
        """
        try:
            (output,) = self.runtime.run([self.output], dict(inputs))
        except _errors() as error:
            shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in inputs.items())
            raise ScoringError(f"the {self.name} graph failed on {shapes}: {error}") from error
        return np.asarray(output, dtype=np.float32)


def usable_providers(wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the wanted execution providers that this ONNX Runtime has, in their order, and the CPU last.

    Raises:
        ProviderError: ONNX Runtime is not installed, or two of its distributions are.
    """
    check_distributions(installed_distributions())
    return choose_providers(wanted, _runtime().get_available_providers())


def open_session(model: bytes, *, name: str, providers: Sequence[str], threads: int = 1) -> Session:
    """Open the ONNX graph `model` on the first of `providers` that works; `name` is its name in errors.

    Raises:
        ProviderError: ONNX Runtime is not installed, or two of its distributions are.
        BundleError: the bytes are not a graph that this ONNX Runtime can run, the graph has more than one output, or
            it keeps data in other files.
    """
    _check_self_contained(model, name)
    requested = usable_providers(providers)
    ort = _runtime()
    try:
        runtime = ort.InferenceSession(model, _options(ort.SessionOptions(), threads), providers=list(requested))
    except _errors() as error:
        raise BundleError(f"the {name} graph cannot be opened by onnxruntime {ort.__version__}: {error}") from error
    outputs = [output.name for output in runtime.get_outputs()]
    if len(outputs) != 1:
        raise BundleError(f"the {name} graph: required one output, got {len(outputs)}: {', '.join(outputs)}")
    return Session(
        name=name,
        provider=confirm_provider(requested, runtime.get_providers()),
        inputs=tuple(each.name for each in runtime.get_inputs()),
        output=outputs[0],
        runtime=runtime,
    )


def _check_self_contained(model: bytes, name: str) -> None:
    """Require that a graph holds all its tensors. Raises BundleError.

    ONNX may keep tensors in other files, at paths that the graph names. The manifest has no checksums of these, and
    ONNX Runtime would look for them in the working directory.
    """
    # Such a tensor names its file under the key `location`. Only a graph with these bytes has to be parsed, which
    # takes about 20 ms and holds up other threads.
    if b"location" not in model:
        return
    import onnx

    try:
        graph = onnx.load_model_from_string(model)
    except Exception as error:
        raise BundleError(f"the {name} graph is not ONNX: {error}") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data for tensor in _tensors(graph)):
        raise BundleError(f"the {name} graph: required all tensors in the graph, got external data in other files")


def _tensors(message: Any) -> Iterator[onnx.TensorProto]:
    """Yield all tensors in a protobuf message: of its graphs, their attributes, subgraphs and functions."""
    import onnx

    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in value if field.is_repeated else (value,):
                if isinstance(each, onnx.TensorProto):
                    yield each
                else:
                    yield from _tensors(each)


def _runtime() -> ModuleType:
    """Import onnxruntime on first use: `import inference` stays cheap, and a missing package gives a clear error."""
    if "usearch" in sys.modules and "onnxruntime" not in sys.modules:
        raise ProviderError(
            "usearch was imported before onnxruntime, which crashes the process: import onnxruntime first"
        )
    import onnxruntime

    runtime: ModuleType = onnxruntime
    return runtime


def _options(options: ort.SessionOptions, threads: int) -> ort.SessionOptions:
    import onnxruntime as ort

    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Spinning threads would take the core that the event loop needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERROR_LEVEL
    return options


def _errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of onnxruntime. Its own classes share no base class other than Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (*own, ValueError, RuntimeError)
