"""`examples`: the arrays of its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from inference.ranking.features import FEATURES
from streams.cli import cli
from streams.contracts.serde import encode_json
from tests.training.ranker.test_gather import ITEMS, random_events


def test_the_command_writes_consistent_arrays(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_bytes(b"\n".join(map(encode_json, ITEMS)))
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(map(encode_json, random_events(4, 30))))
    files = [str(tmp_path / name) for name in ("items.jsonl", "events.jsonl", "examples.npz")]
    result = CliRunner().invoke(cli, ["examples", "--catalog", files[0], "--events", files[1], "--output", files[2]])
    assert result.exit_code == 0, result.output
    with np.load(files[2]) as written:
        assert written["names"].tolist() == list(FEATURES)
        assert written["features"].shape == (len(written["labels"]), len(FEATURES))
        assert len(written["weights"]) == len(written["groups"]) == len(written["labels"])
        assert set(written["groups"].tolist()) == set(range(len(written["relevant"])))
        assert 0 < written["labels"].sum() <= written["relevant"].sum()
