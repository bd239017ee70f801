"""The student: some layers of the teacher, same width, with mean pooling and L2 normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

_CHUNKS = 5


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


def student_of(folder: Path, layers: Sequence[int], rows: npt.NDArray[np.int64] | None = None) -> SentenceEncoder:
    """Return a student that starts as the layers `layers` of the teacher in `folder`, without dropout.

    `rows` are the rows of the teacher's word table that the student has; without them it has all.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    bert = AutoModel.from_pretrained(folder, add_pooling_layer=False)
    if rows is not None:
        table = bert.embeddings.word_embeddings.weight.detach()[torch.from_numpy(rows)].clone()
        bert.embeddings.word_embeddings = torch.nn.Embedding.from_pretrained(table, freeze=False)
        bert.config.vocab_size = len(rows)
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
        # Padding is work for nothing: a chunk is as wide as its longest text.
        order = sorted(range(len(rows)), key=lambda at: len(self._ids[rows[at]]))
        vectors = []
        for chunk in self._chunks(order, rows):
            ids = [self._ids[rows[at]] for at in chunk]
            padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
            lengths = torch.tensor([len(each) for each in ids])
            mask = (torch.arange(padded.shape[1]) < lengths.unsqueeze(1)).long()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
                vectors.append(encoder(padded, mask).float())
        # `order` sorted the texts by length; `back` is its inverse.
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


def vectors_of(encoder: SentenceEncoder, tokens: Tokens, rows: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return the vectors of the texts `rows` in float32, (n, dim), without training."""
    encoder.eval()
    with torch.no_grad():
        parts = [tokens.encode(encoder, rows[at : at + 512], bfloat16=False) for at in range(0, len(rows), 512)]
    found: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return found
