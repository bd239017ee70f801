"""What is submitted together runs together, in order, one batch at a time; nobody who waits is forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from streams.batching import MicroBatcher


class Doubler:
    """Doubles numbers, remembers its batches, and waits at `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.waited: list[Sequence[float]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self, work: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(work))
        self.entered.set()
        assert self.gate.wait(10)
        if -1 in work:
            raise ValueError("no negative numbers")
        return [2 * number for number in work if number != 404]


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


Make = Callable[..., MicroBatcher[int, int]]


@pytest.fixture
def double() -> Doubler:
    return Doubler()


@pytest.fixture
def make(executor: ThreadPoolExecutor, double: Doubler) -> Make:
    def build(max_size: int = 100, linger_s: float = 0.001) -> MicroBatcher[int, int]:
        return MicroBatcher(double, executor, max_size=max_size, linger_s=linger_s, on_batch=double.waited.append)

    return build


async def occupied(batcher: MicroBatcher[int, int], double: Doubler) -> asyncio.Future[int]:
    """Have the batcher run a batch that does not end before the gate is opened."""
    double.gate.clear()
    first = batcher.submit(0)
    await asyncio.to_thread(double.entered.wait, 10)
    return first


async def test_what_is_submitted_within_the_linger_is_one_batch_in_order(make: Make, double: Doubler) -> None:
    batcher = make()
    assert await asyncio.gather(*(batcher.submit(number) for number in range(10))) == [2 * n for n in range(10)]
    assert double.batches == [list(range(10))]


async def test_no_batch_is_larger_than_the_limit_and_none_is_lost(make: Make, double: Doubler) -> None:
    batcher = make(max_size=4)
    assert await asyncio.gather(*(batcher.submit(number) for number in range(10))) == [2 * n for n in range(10)]
    assert double.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [len(batch) for batch in double.waited] == [4, 4, 2]
    assert min(map(min, double.waited)) >= 0


async def test_what_arrives_while_a_batch_runs_is_the_next_one_at_once(make: Make, double: Doubler) -> None:
    batcher = make(linger_s=0.0)
    first = await occupied(batcher, double)
    rest = [batcher.submit(number) for number in (1, 2, 3)]
    double.gate.set()
    assert await asyncio.gather(first, *rest) == [0, 2, 4, 6]
    assert double.batches == [[0], [1, 2, 3]]


async def test_an_error_reaches_everyone_in_its_batch_and_the_next_batch_runs(make: Make) -> None:
    batcher = make()
    results = await asyncio.gather(batcher.submit(-1), batcher.submit(1), return_exceptions=True)
    assert [str(result) for result in results] == ["no negative numbers"] * 2
    assert await batcher.submit(21) == 42


async def test_a_batch_with_too_few_results_is_an_error_and_no_mix_up(make: Make) -> None:
    batcher = make()
    results = await asyncio.gather(batcher.submit(404), batcher.submit(1), return_exceptions=True)
    assert [str(result) for result in results] == ["a batch of 2 gave 1 results"] * 2


async def test_work_that_nobody_waits_for_is_left_out(make: Make, double: Doubler) -> None:
    batcher = make(max_size=2)
    first = await occupied(batcher, double)
    given_up, kept = [batcher.submit(number) for number in (1, 2, 3)], batcher.submit(4)
    for future in given_up:
        future.cancel()
    double.gate.set()
    assert (await first, await kept) == (0, 8)
    assert double.batches == [[0], [4]]


async def test_a_caller_who_leaves_a_running_batch_leaves_the_others_their_results(make: Make, double: Doubler) -> None:
    batcher = make()
    double.gate.clear()
    futures = [batcher.submit(number) for number in (1, 2, 3)]
    await asyncio.to_thread(double.entered.wait, 10)
    futures[1].cancel()
    double.gate.set()
    assert (await futures[0], await futures[2]) == (2, 6)


async def test_callers_who_give_up_behind_a_hanging_batch_do_not_pile_up(make: Make, double: Doubler) -> None:
    batcher = make()
    first = await occupied(batcher, double)
    for number in range(1000):
        batcher.submit(number).cancel()
    assert len(batcher._waiting) == 1
    double.gate.set()
    assert await first == 0


async def test_a_lone_batch_of_given_up_work_does_not_stop_the_batcher(make: Make, double: Doubler) -> None:
    batcher = make()
    batcher.submit(1).cancel()
    lingered = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, lingered.set)
    await lingered.wait()
    assert double.batches == []
    assert await batcher.submit(2) == 4


async def test_after_a_shutdown_everyone_who_waits_is_cancelled(
    make: Make, double: Doubler, executor: ThreadPoolExecutor
) -> None:
    batcher = make()
    first = await occupied(batcher, double)
    waiting = batcher.submit(1)
    executor.shutdown(wait=False, cancel_futures=True)
    double.gate.set()
    assert await first == 0
    for future in (waiting, batcher.submit(2)):
        with pytest.raises(asyncio.CancelledError):
            await future
