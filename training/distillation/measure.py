"""Compares the speed of encoders in one run on one core, in turns, so that other load affects all of them.

In its turn an encoder takes all texts several times. The first text finds another encoder's weights in the processor's
caches. This is the cost of a rare text between other work (cold). Later texts find the encoder's own weights and cost
less.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from inference.encoding.encoder import TextEncoder
from inference.manifest import MANIFEST, Metric
from inference.manifest_files import read_manifest
from inference.types import Vector
from training.distillation.judge import read_graded, titles_ndcg
from training.distillation.variants import TEACHER8, TEACHER32, Variant

QUERIES = (
    "wireless keyboard", "blue running shoes men", "hdmi cable 2m", "oat milk", "laptop bag", "garden chair cushion",
    "noise cancelling headphones", "toner cartridge black", "kids rain coat", "aa batteries",
)  # fmt: skip
TITLES = (
    "Seagate Barracuda 1TB Desktop HDD SATA 6Gb/s 64MB Cache 3.5-Inch Internal Bare Drive",
    "Organic fair trade dark chocolate, 85% cocoa, 100 g",
    "C2G 50ft Cat5E 350MHz Snagless Patch Cable White networking cable 15 m",
    "Casio Men's Edifice Stainless Steel Chronograph Watch, blue dial",
    "White hanging heart t-light holder",
    "Logitech MX Master 3S wireless performance mouse, graphite, USB-C, Bluetooth",
    "Women's waterproof trail running shoes, size 39, grey and coral",
    "Folding camping table with four stools, aluminium, 120 x 60 cm",
)
CHINESE_QUERIES = (
    "无线键盘", "男士跑步鞋", "hdmi线 2米", "燕麦奶", "笔记本电脑包", "花园椅坐垫", "降噪耳机", "黑色打印机硒鼓",
    "儿童雨衣", "5号电池",
)  # fmt: skip
CHINESE_TITLES = (
    "希捷(Seagate) 1TB 台式机机械硬盘 SATA 6Gb/s 64MB 缓存 3.5英寸 内置硬盘",
    "有机公平贸易黑巧克力 85%可可 100克 进口零食",
    "超五类网线 成品跳线 白色 家用宽带网络连接线 15米 纯铜",
    "卡西欧男士不锈钢计时手表 蓝色表盘 防水商务石英表",
    "北欧创意白色爱心悬挂烛台 家居装饰摆件",
    "罗技 MX Master 3S 无线蓝牙鼠标 石墨色 USB-C 充电 办公",
    "女士防水越野跑鞋 39码 灰色珊瑚色 透气防滑运动鞋",
    "户外折叠桌椅套装 铝合金便携露营桌 一桌四凳 120x60厘米",
)
_BATCH_ROUNDS = 8
_WARM = 3


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that are timed."""

    queries: tuple[str, ...]
    titles: tuple[str, ...]

    @property
    def batch(self) -> tuple[str, ...]:
        """A batch of titles."""
        return self.titles * 4


ENGLISH = Texts(QUERIES, TITLES)
CHINESE = Texts(CHINESE_QUERIES, CHINESE_TITLES)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The figures of one variant: medians on one thread, tokenising included.

    Attributes:
        query_ms: one query alone; title_ms: one title alone; cold_query_ms: the first query after other work.
        titles_per_second: in batches of 32.
        cosine: mean cosine, over queries and titles, to the variant that this one was rounded from; None without it.
        batch_effect: greatest change of a component of a vector if its text is encoded alone.
        ndcg: NDCG@10 of graded queries; None without the data.
    """

    name: str
    megabytes: float
    query_ms: float
    cold_query_ms: float
    title_ms: float
    titles_per_second: float
    cosine: float | None
    batch_effect: float
    ndcg: float | None


def measure(
    variants: Sequence[Variant],
    *,
    rounds: int,
    data: Path | None = None,
    texts: Texts = ENGLISH,
    log: Callable[[str], None] = lambda _: None,
) -> list[Measurement]:
    """Measure the variants in turns, `rounds` times each."""
    log("timing queries and titles")
    cold, queries = _by_turns(variants, texts.queries, rounds)
    _, titles = _by_turns(variants, texts.titles, rounds)
    log("timing batches")
    turns = [[_seconds(each.encoder, texts.batch) for each in variants] for _ in range(_BATCH_ROUNDS)]
    batches = np.median(turns, axis=0)
    vectors = {each.name: each.encoder.encode([*texts.queries, *texts.titles]) for each in variants}
    graded = read_graded(data) if data else None
    found = []
    for at, each in enumerate(variants):
        if graded:
            log(f"judging {each.name}")
        found.append(
            Measurement(
                name=each.name,
                megabytes=each.size / 1e6,
                query_ms=1e3 * queries[at],
                cold_query_ms=1e3 * cold[at],
                title_ms=1e3 * titles[at],
                titles_per_second=len(texts.batch) / float(batches[at]),
                cosine=_cosine(vectors, each),
                batch_effect=_batch_effect(each.encoder, texts.titles),
                ndcg=titles_ndcg(graded, each.encoder, each.encoder) if graded else None,
            )
        )
    return found


def table(measured: Sequence[Measurement]) -> str:
    """Return the measurements as a Markdown table, with the ratios to the teacher."""
    by_name = {each.name: each for each in measured}
    lines = [
        "| | MB | query ms | × teacher float32 | × teacher int8 | cold query ms | × teacher float32 | × teacher int8 "
        "| title ms | titles/s | cosine | NDCG@10 | batch |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for m in measured:
        teachers = by_name[TEACHER32], by_name[TEACHER8]
        ratios = " | ".join(f"{each.query_ms / m.query_ms:.1f}" for each in teachers)
        cold = " | ".join(f"{each.cold_query_ms / m.cold_query_ms:.1f}" for each in teachers)
        cosine = "" if m.cosine is None else f"{m.cosine:.4f}"
        ndcg = "" if m.ndcg is None else f"{m.ndcg:.4f}"
        lines.append(
            f"| {m.name} | {m.megabytes:.1f} | {m.query_ms:.2f} | {ratios} | {m.cold_query_ms:.2f} | {cold} "
            f"| {m.title_ms:.2f} | {m.titles_per_second:.0f} | {cosine} | {ndcg} | {m.batch_effect:.0e} |"
        )
    return "\n".join(lines)


def record_ratios(bundle: Path, measured: Sequence[Measurement]) -> None:
    """Write the speed of the bundle's query encoder relative to its teacher into the manifest."""
    manifest = read_manifest(bundle)
    by_name = {each.name: each for each in measured}
    own = by_name[manifest.encoders[0].file]
    command = "python -m training.distillation measure, one core"
    new = [
        Metric(name=f"times as fast as the {name}", value=round(by_name[name].query_ms / own.query_ms, 1),
               measured=f"{command}, queries one after another")
        for name in (TEACHER32, TEACHER8)
    ]  # fmt: skip
    new.append(Metric(name="titles a second", value=round(own.titles_per_second), measured=f"{command}, batches of 32"))
    names = {each.name for each in new}
    kept = (each for each in manifest.card.metrics if each.name not in names)
    card = msgspec.structs.replace(manifest.card, metrics=(*kept, *new))
    changed = msgspec.structs.replace(manifest, card=card)
    (bundle / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(changed), indent=2) + b"\n")


def _by_turns(variants: Sequence[Variant], texts: tuple[str, ...], rounds: int) -> tuple[list[float], list[float]]:
    """Return the median seconds of each variant for one text, over rounds and texts: cold, and after many others."""
    cold: list[list[float]] = [[] for _ in variants]
    warm: list[list[float]] = [[] for _ in variants]
    for turn in range(1 + rounds):
        for at, each in enumerate(variants):
            # The first text, another one in each turn, finds the weights of the encoder before. The last ones find the
            # own weights.
            seconds = [_seconds(each.encoder, [text]) for text in texts[turn % len(texts) :] + texts * _WARM]
            if turn:  # the first turn is a warm-up and does not count
                cold[at].append(seconds[0])
                warm[at].extend(seconds[-len(texts) :])
    return [float(np.median(each)) for each in cold], [float(np.median(each)) for each in warm]


def _seconds(encoder: TextEncoder, texts: Sequence[str]) -> float:
    start = time.perf_counter()
    encoder.encode(texts)
    return time.perf_counter() - start


def _cosine(vectors: dict[str, Vector], variant: Variant) -> float | None:
    expected = vectors.get(variant.reference)
    return None if expected is None else float((vectors[variant.name] * expected).sum(axis=1).mean())


def _batch_effect(encoder: TextEncoder, titles: Sequence[str]) -> float:
    together = encoder.encode(titles)
    return float(np.abs(np.vstack([encoder.encode([title]) for title in titles]) - together).max())
