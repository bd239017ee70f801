"""The last layer's states of the words of texts, from the shipped graph of an encoder.

The graph returns only the pooled vector. One more output is declared in memory, so no file changes and none is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper
from tokenizers import Tokenizer

from inference.encoding.providers import CPU
from inference.errors import BundleError
from inference.manifest import CATALOGUE, TOKENIZER
from inference.manifest_files import read_file, read_manifest

BATCH = 32
Span = tuple[int, int]
Floats = npt.NDArray[np.float32]


class TokenStates(NamedTuple):
    """An open graph, the name of its output with the states, and the tokenizer."""

    session: onnxruntime.InferenceSession
    output: str
    tokenizer: Tokenizer
    dim: int

    @classmethod
    def of(cls, folder: Path) -> TokenStates:
        """Open the encoder of a bundle that encodes the catalogue on the CPU. Raises BundleError."""
        manifest = read_manifest(folder)
        name = next(each.file for each in manifest.encoders if CATALOGUE in each.purposes and CPU in each.providers)
        model = onnx.load_from_string(read_file(folder, manifest.file(name)))
        pooling = [node for node in model.graph.node if node.op_type == "MatMul"]
        if not pooling:
            required = "required a graph that `intentstream distill` wrote, got one without pooling"
            raise BundleError(f"{folder / name}: {required}")
        # The pooling multiplies the mask by the states of the last layer.
        output = pooling[-1].input[1]
        shape = ["batch", "tokens", manifest.dim]
        model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        tokenizer = Tokenizer.from_buffer(read_file(folder, manifest.of_role(TOKENIZER)))
        tokenizer.no_padding()
        tokenizer.enable_truncation(manifest.max_tokens)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])
        return cls(session, output, tokenizer, manifest.dim)

    def of_words(self, texts: Sequence[str], words: Sequence[Sequence[Span]]) -> list[Floats]:
        """Return the mean state of each word's tokens, (words, dim) for each text; 0 for a word that is cut off."""
        encodings = self.tokenizer.encode_batch(list(texts))
        found = [np.zeros((len(each), self.dim), dtype=np.float32) for each in words]
        by_length = np.argsort([len(each.ids) for each in encodings], kind="stable").tolist()
        for start in range(0, len(texts), BATCH):
            rows = by_length[start : start + BATCH]
            width = max(len(encodings[row].ids) for row in rows)
            # An even width, as `TextEncoder` pads on a CPU: the last of an odd number of tokens is rounded in another
            # way.
            ids = np.zeros((len(rows), width + width % 2), dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, row in enumerate(rows):
                ids[place, : len(encodings[row].ids)] = encodings[row].ids
                mask[place, : len(encodings[row].ids)] = 1
            (states,) = self.session.run([self.output], {"input_ids": ids, "attention_mask": mask})
            for place, row in enumerate(rows):
                offsets = encodings[row].offsets
                for number, (begin, end) in enumerate(words[row]):
                    # Tokens that overlap the word. Special tokens have empty ranges and belong to no word.
                    own = [at for at, (low, high) in enumerate(offsets) if low < end and begin < high and low < high]
                    if own:
                        found[row][number] = states[place, own].mean(axis=0)
        return found
