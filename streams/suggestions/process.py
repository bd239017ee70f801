"""Builds suggestions in a separate process: a build keeps an interpreter busy for seconds, and events must not wait.

The worker writes the parts of its catalogue, the searches and the block list to the process, and reads the suggestions.
The process ends after one build, which frees its memory. It also ends if the worker does, because its input is closed
then.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from inference.retrieval.search_records import SearchRecords
from inference.suggestions.build import ItemPart, Snapshot, SuggestionBuilder
from inference.suggestions.cleaning import BlockList
from inference.suggestions.suggestions import Suggestions
from inference.types import Item

LEAST_PRIORITY = 19
"""Niceness of the process: events and requests go first."""
_decode_items = msgspec.msgpack.Decoder(list[Item]).decode


class BuildError(Exception):
    """A build failed. The process has logged the reason."""


async def build(parts: AsyncIterator[ItemPart], records: SearchRecords, blocked: Sequence[str]) -> Suggestions:
    """Return the suggestions for a catalogue and the searches. A caller that is cancelled ends the process.

    Raises:
        BuildError: the process failed.
    """
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, stdin=PIPE, stdout=PIPE)
    try:
        # Written and read at the same time: a pipe holds 64 KB, so a process that logs or ends early would block a
        # writer that waits.
        _, result = await asyncio.gather(_write(process, parts, records, blocked), _stdout(process).read())
        if await process.wait() != 0:
            raise BuildError(f"the process ended with status {process.returncode}")
        if not result:
            raise BuildError("the process ended without a result")
    except (BrokenPipeError, ConnectionResetError) as error:
        raise BuildError("the process ended early") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    # In another thread, because it takes some ten milliseconds at once in a large shop.
    suggestions: Suggestions = await asyncio.to_thread(pickle.loads, result)
    return suggestions


async def _write(
    process: Process, parts: AsyncIterator[ItemPart], records: SearchRecords, blocked: Sequence[str]
) -> None:
    stdin = process.stdin
    assert stdin is not None  # noqa: S101 - it is a pipe
    async for part in parts:
        stdin.write(await asyncio.to_thread(_packed, part))
        await stdin.drain()
    stdin.write(await asyncio.to_thread(pickle.dumps, (records, list(blocked)), pickle.HIGHEST_PROTOCOL))
    await stdin.drain()
    stdin.close()


def _stdout(process: Process) -> asyncio.StreamReader:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    return process.stdout


def _packed(part: ItemPart) -> bytes:
    """Return a part with the fields of items that a build reads."""
    items = [
        Item(
            item_id=item.item_id, title=item.title, category=item.category, brand=item.brand, attributes=item.attributes
        )
        for item in part.items
    ]
    return pickle.dumps((msgspec.msgpack.encode(items), part.keys, part.vectors), pickle.HIGHEST_PROTOCOL)


def main() -> None:
    """Read a catalogue and searches from the standard input, and write suggestions to the standard output."""
    # A terminal sends this signal to the worker too, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # the worker has ended: so does this process
    os.nice(LEAST_PRIORITY)
    with suppress(OSError):  # where the memory ends, Linux must end this process and not the worker
        Path("/proc/self/oom_score_adj").write_text("1000")
    parts: list[ItemPart] = []
    while True:
        try:
            received = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the worker that started this process
        except (EOFError, pickle.UnpicklingError):  # the input ends between two messages, or in one
            sys.exit("the worker has ended")
        # Parts have three members. The pair of searches and blocked words comes last and ends the input.
        if len(received) == 2:
            break
        items, keys, vectors = received
        parts.append(ItemPart(_decode_items(items), keys, vectors))
    records, blocked = received
    suggestions = SuggestionBuilder(BlockList(blocked)).build(Snapshot.of(parts, records))
    pickle.dump(suggestions, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    main()
