"""The student: some layers of the teacher, same width, with mean pooling and L2 normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from training.distillation.export import SentenceEncoder

_CHUNKS = 5


def student_of(folder: Path, layers: Sequence[int]) -> SentenceEncoder:
    """Return a student that starts as the layers `layers` of the teacher in `folder`, without dropout."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    bert = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    return cut(bert, layers)


def cut(bert: torch.nn.Module, layers: Sequence[int]) -> SentenceEncoder:
    """Reduce `bert` to the layers `layers`, in place."""
    bert.encoder.layer = torch.nn.ModuleList([bert.encoder.layer[each] for each in layers])
    bert.config.num_hidden_layers = len(layers)
    for module in bert.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif hasattr(module, "dropout_prob"):
            module.dropout_prob = 0.0
    return SentenceEncoder(bert)


def eager(encoder: SentenceEncoder) -> SentenceEncoder:
    """Return the encoder ready for export, with eager attention: fused attention does not trace to plain operators."""
    encoder.bert.set_attn_implementation("eager")
    encoder.eval()
    return encoder


class Tokens:
    """The token ids of all texts of a corpus, tokenised once, and padded batches of them."""

    def __init__(self, tokenizer: bytes, texts: Sequence[str], max_tokens: int) -> None:
        reader = Tokenizer.from_buffer(tokenizer)
        reader.no_padding()
        reader.enable_truncation(max_tokens)
        self._ids = [torch.tensor(each.ids, dtype=torch.int64) for each in reader.encode_batch(list(texts))]

    def encode(self, encoder: SentenceEncoder, rows: Sequence[int], *, bfloat16: bool) -> torch.Tensor:
        """Return the vectors of the texts `rows`, float32 (n, dim), in their order.

        Texts of similar length are encoded together.
        """
        order = sorted(range(len(rows)), key=lambda at: len(self._ids[rows[at]]))
        vectors = []
        for chunk in self._chunks(order, rows):
            ids = [self._ids[rows[at]] for at in chunk]
            padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
            lengths = torch.tensor([len(each) for each in ids])
            mask = (torch.arange(padded.shape[1]) < lengths.unsqueeze(1)).long()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
                vectors.append(encoder(padded, mask).float())
        back = torch.empty(len(order), dtype=torch.int64)
        back[torch.tensor(order)] = torch.arange(len(order))
        return torch.cat(vectors)[back]

    def _chunks(self, order: Sequence[int], rows: Sequence[int]) -> list[list[int]]:
        """Cut `order` into chunks of about the same number of tokens."""
        lengths = [len(self._ids[rows[at]]) for at in order]
        share, filled = sum(lengths) / _CHUNKS, 0
        chunks: list[list[int]] = [[]]
        for at, length in zip(order, lengths, strict=True):
            if filled >= share * len(chunks) and chunks[-1]:
                chunks.append([])
            chunks[-1].append(at)
            filled += length
        return chunks
