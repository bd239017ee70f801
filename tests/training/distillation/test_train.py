"""Training: a resumed run gives the weights of an uninterrupted one, and losses equal their formulas.

Needs torch (`make model` creates such an environment).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `distill`")
transformers = pytest.importorskip("transformers", reason="needs the extra `distill`")

from inference.encoding.providers import CPU  # noqa: E402
from inference.encoding.session import open_session  # noqa: E402
from inference.errors import DataError  # noqa: E402
from inference.types import stable_key  # noqa: E402
from tests.conftest import BUNDLE  # noqa: E402
from training.distillation.batches import Batch, Sampler  # noqa: E402
from training.distillation.corpus import Corpus, TrainingTexts, build_corpus  # noqa: E402
from training.distillation.export import Exported, to_onnx  # noqa: E402
from training.distillation.plan import Stage  # noqa: E402
from training.distillation.student import SentenceEncoder, Tokens, cut, eager, vectors_of  # noqa: E402
from training.distillation.train import (  # noqa: E402
    Run,
    contrastive_loss,
    graded_loss,
    train,
    weighted_losses,
)

TOKENIZER = (BUNDLE / "tokenizer.json").read_bytes()
DIM = 24
TITLES = tuple(
    f"{colour} {kind} {size} cm" for colour in ("red", "blue") for kind in ("lamp", "desk") for size in range(9)
)
STAGES = (
    Stage(name="first", steps=4, horizon=9, rate=1e-3, pairs={"spans": 6, "words": 2}),
    Stage(name="second", steps=5, rate=1e-3, pairs={"spans": 6}, lists=1, contrast=0.5, grades=0.5),
)


def corpus() -> Corpus:
    graded = (("red lamp", ((TITLES[0], 3), (TITLES[20], 0), (TITLES[3], 1))),)
    return build_corpus(TrainingTexts(titles=TITLES, graded=graded), ["lamp", "desk", "chair"], 1)


def encoder(layers: tuple[int, ...] = (0, 2)) -> SentenceEncoder:
    torch.manual_seed(5)
    config = transformers.BertConfig(vocab_size=30_522, hidden_size=DIM, num_hidden_layers=3, num_attention_heads=2,
                                     intermediate_size=32, max_position_embeddings=40)  # fmt: skip
    return cut(transformers.BertModel(config, add_pooling_layer=False), layers)


def by_words(text: str) -> npt.NDArray[np.float16]:
    """Return a teacher vector that can be learned: the sum of the vectors of the words."""
    words = (np.random.default_rng(stable_key(word)).normal(size=DIM) for word in text.split())
    total = np.sum(list(words), axis=0)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float16)


def run_of(name: str = "base", digest: str = "plan", stages: tuple[Stage, ...] = STAGES) -> Run:
    texts = corpus()
    vectors = np.stack([by_words(text) for text in texts.texts])
    sampler = Sampler(texts, vectors, texts.graded, 3)
    tokens = Tokens(TOKENIZER, texts.texts, 32)
    return Run(name, digest, stages, sampler, tokens, vectors, warm_up=0.1, weight_decay=0.01, bfloat16=False)


def state(model: SentenceEncoder) -> dict[str, Any]:
    return {name: each.clone() for name, each in model.state_dict().items()}


def every_second() -> Iterator[float]:
    at = 0.0
    while True:
        yield at
        at += 1.0


@pytest.mark.parametrize("killed_after", [1, 3, 4, 6, 8])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, killed_after: int) -> None:
    torch.set_num_threads(1)
    whole = encoder()
    steps = list(train(whole, run_of(), tmp_path / "whole"))
    assert [each.stage for each in steps] == ["first"] * 4 + ["second"] * 5
    killed = train(encoder(), run_of(), tmp_path / "killed", every_seconds=0, clock=every_second().__next__)
    first = list(islice(killed, killed_after))
    killed.close()  # type: ignore[attr-defined]
    again = encoder((0, 1))
    rest = list(train(again, run_of(), tmp_path / "killed"))
    assert [(each.stage, each.step) for each in first + rest][-len(rest) :] == [
        (each.stage, each.step) for each in steps[-len(rest) :]
    ]
    assert [each.losses for each in rest] == [each.losses for each in steps[-len(rest) :]]
    for name, expected in state(whole).items():
        torch.testing.assert_close(again.state_dict()[name], expected, rtol=0, atol=0)


def test_a_finished_run_only_loads_its_weights(tmp_path: Path) -> None:
    done = encoder()
    list(train(done, run_of(), tmp_path))
    again = encoder((1, 2))
    assert list(train(again, run_of(), tmp_path)) == []
    torch.testing.assert_close(state(again), state(done), rtol=0, atol=0)


def test_a_checkpoint_of_another_plan_is_an_error(tmp_path: Path) -> None:
    list(train(encoder(), run_of(), tmp_path))
    with pytest.raises(DataError, match=r"base\.pt: a checkpoint of another plan or corpus"):
        next(train(encoder(), run_of(digest="other"), tmp_path))


def test_training_reduces_the_loss_and_does_not_change_unseen_tokens(tmp_path: Path) -> None:
    model = encoder()
    table = "bert.embeddings.word_embeddings.weight"
    before = state(model)[table]
    stage = Stage(name="more", steps=60, rate=5e-3, table=1.0, pairs={"spans": 12})
    losses = [each.losses["cosine"] for each in train(model, run_of(stages=(stage,)), tmp_path)]
    assert losses[-1] < 0.8 * losses[0]
    # No text contains the token of the last row.
    torch.testing.assert_close(model.state_dict()[table][-1], before[-1], rtol=0, atol=0)
    assert not torch.equal(model.state_dict()[table], before)


def test_with_fixed_rows_only_the_others_of_the_word_table_are_trained(tmp_path: Path) -> None:
    model, table = encoder(), "bert.embeddings.word_embeddings.weight"
    before, fixed = state(model), np.arange(30_522) % 2 == 0
    stage = Stage(name="rows", steps=10, rate=5e-3, table=1.0, pairs={"spans": 12})
    list(train(model, replace(run_of("rows", stages=(stage,)), fixed=fixed), tmp_path))
    after = state(model)
    assert [name for name in before if not torch.equal(before[name], after[name])] == [table]
    changed = (before[table] != after[table]).any(dim=1).numpy()
    assert changed.any()
    assert not changed[fixed].any()
    # Another run on the same encoder trains all weights again.
    list(train(model, run_of("all"), tmp_path))
    assert all(each.requires_grad for each in model.parameters())


def test_vectors_are_in_the_order_of_the_texts() -> None:
    model, texts = encoder(), ("a lamp", "a", "a very long lamp of which much could be said", "desk")
    tokens = Tokens(TOKENIZER, texts, 32)
    together = vectors_of(model, tokens, range(4))
    for row in range(4):
        np.testing.assert_allclose(vectors_of(model, tokens, [row])[0], together[row], atol=1e-5)


def batch(**changes: Any) -> Batch:
    none = np.empty(0, dtype=np.int64)
    whole = {"texts": np.arange(4, dtype=np.int32), "left": np.array([0, 2]), "right": np.array([1, 3]),
             "anchors": none, "negatives": none, "graded": ()}  # fmt: skip
    return Batch(**{**whole, **changes})


def unit(rows: list[list[float]]) -> Any:
    return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)


APART = [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]
MIXED = [[1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [1.0, 0.1]]


def test_the_contrastive_loss_is_small_if_only_pairs_are_close() -> None:
    teacher = unit(APART)
    assert float(contrastive_loss(unit(APART), teacher, batch())) < 1e-3
    assert float(contrastive_loss(unit(MIXED), teacher, batch())) > 5


def test_texts_closer_for_the_teacher_are_no_negatives_unless_labelled() -> None:
    teacher = unit([[1.0, 0.0], [0.5, 1.0], [0.0, 1.0], [1.0, 0.05]])
    assert float(contrastive_loss(unit(MIXED), teacher, batch(left=np.array([0]), right=np.array([1])))) == 0
    labelled = batch(left=np.array([0]), right=np.array([1]), anchors=np.array([0]), negatives=np.array([3]))
    assert float(contrastive_loss(unit(MIXED), teacher, labelled)) > 5


def test_the_contrastive_loss_of_a_text_with_itself_is_0() -> None:
    alone = batch(left=np.array([0, 1]), right=np.array([0, 1]))
    assert float(contrastive_loss(unit(APART), unit(APART), alone)) == 0


def test_the_graded_loss_is_lowest_in_the_order_of_the_grades() -> None:
    from training.distillation.batches import Graded

    def of(order: list[int]) -> float:
        return float(graded_loss(unit(APART), batch(graded=(Graded(0, np.array([1, 3, 2]), np.array(order)),))))

    assert of([3, 1, 0]) < of([0, 1, 3])
    assert of([1, 1, 1]) == 0


def test_only_weighted_losses_are_computed_and_imitating_the_teacher_gives_0() -> None:
    stage = Stage(name="x", steps=1, rate=1.0, pairs={})
    found = weighted_losses(unit(APART), unit(APART), batch(), stage)
    assert set(found) == {"cosine", "matrix"}
    assert float(sum(found.values())) == pytest.approx(0, abs=1e-6)


def test_our_graph_and_the_traced_graph_equal_torch() -> None:
    model, texts = encoder(), ("a red lamp", "desk", "a very long lamp of which much could be said")
    expected = vectors_of(model, Tokens(TOKENIZER, texts, 32), range(3))
    weights = {name: each.detach().numpy() for name, each in model.bert.state_dict().items()}
    ours = Exported(weights, TOKENIZER, 2).encoder("float32", max_tokens=32)
    np.testing.assert_allclose(ours.encode(texts), expected, atol=1e-5)
    traced = open_session(to_onnx(eager(model)).SerializeToString(), name="traced", providers=(CPU,))
    ids = np.array([[101, 2417, 10437, 102]])
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    np.testing.assert_allclose(ours._session.run(inputs), traced.run(inputs), atol=1e-5)
