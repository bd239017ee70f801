"""Carries faults out."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.damage import damage
from tests.chaos.hostile import MANIFESTS
from tests.chaos.messages import MessageFaults
from tests.chaos.schedule import JOINING, Fault
from tests.chaos.supervisor import SupervisedWorker, Supervisor
from tests.integration.brokers import KafkaBroker

NEEDS_KAFKA = ("broker restart", "broker freeze", "transactions")
"""Kinds that do not overlap: a new transaction fails without Kafka."""
RUNS_S, STOPS_S = 0.015, 0.085
"""A starved worker runs and stops in turns: 15% of a CPU."""


@dataclass(frozen=True)
class Done:
    """A fault that was carried out, in seconds since the epoch. `result` says more about it."""

    fault: Fault
    began_s: float
    ended_s: float
    result: str


@dataclass
class FaultRunner:
    """Carries out the faults of a schedule, each at its time."""

    seed: int
    supervisor: Supervisor
    broker: KafkaBroker
    messages: MessageFaults
    models: Path
    report: Callable[[Done], None]
    done: list[Done] = field(default_factory=list)
    _broker_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, faults: list[Fault]) -> None:
        """Carry out all faults. A fault waits for another one that has the same target."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(began + fault.at_s - time.monotonic(), 0))
                group.create_task(self._carry_out(fault))

    async def _carry_out(self, fault: Fault) -> None:
        random = Random(f"{self.seed} {fault.number}")
        name = fault.kind.replace(" ", "_")
        # Each kind is a method of this class, or of MessageFaults.
        method: Callable[[Fault, Random], Awaitable[str | None]]
        method = getattr(self, f"_{name}", None) or getattr(self.messages, name)
        target = self._broker_lock if fault.kind in NEEDS_KAFKA else self._lock(fault)
        async with target:
            began_s = time.time()
            with self.supervisor.during(fault):
                result = await method(fault, random)
        done = Done(fault, began_s, time.time(), result or "")
        self.done.append(done)
        self.report(done)

    def _lock(self, fault: Fault) -> asyncio.Lock:
        worker = self.supervisor.workers.get(fault.worker)
        return worker.lock if worker is not None else asyncio.Lock()

    def _worker(self, fault: Fault) -> SupervisedWorker:
        return self.supervisor.workers[fault.worker]

    @asynccontextmanager
    async def _down(self, fault: Fault) -> AsyncIterator[SupervisedWorker]:
        """Kill a worker, and start it again."""
        worker = self._worker(fault)
        self.supervisor.kill(worker, str(fault))
        try:
            yield worker
            await asyncio.sleep(fault.seconds)
        finally:
            worker.start()

    # Workers

    async def _kill(self, fault: Fault, _: Random) -> None:
        async with self._down(fault):
            pass

    async def _stop(self, fault: Fault, _: Random) -> None:
        worker = self._worker(fault)
        await self.supervisor.stop(worker, str(fault))
        worker.start()

    async def _pause(self, fault: Fault, _: Random) -> None:
        await self._frozen(self._worker(fault), fault.seconds)

    async def _freeze(self, fault: Fault, _: Random) -> None:
        await self._frozen(self._worker(fault), fault.seconds)

    async def _starve(self, fault: Fault, _: Random) -> None:
        deadline = time.monotonic() + fault.seconds
        while time.monotonic() < deadline:
            await self._frozen(self._worker(fault), STOPS_S)
            await asyncio.sleep(RUNS_S)

    @staticmethod
    async def _frozen(worker: SupervisedWorker, seconds: float) -> None:
        if not worker.is_running:
            return
        process = worker.process.process
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    async def _wipe(self, fault: Fault, _: Random) -> None:
        async with self._down(fault) as worker:
            if worker.process.data_dir.exists():
                worker.process.delete_data()

    async def _damage(self, fault: Fault, random: Random) -> str:
        async with self._down(fault) as worker:
            return damage(worker.process.data_dir, fault.detail, random)

    _log_damage = _damage

    async def _join(self, fault: Fault, _: Random) -> None:
        worker = self.supervisor.workers[JOINING]
        async with worker.lock:
            worker.start()
            await asyncio.sleep(fault.seconds)
            await self.supervisor.stop(worker, str(fault))

    # Kafka

    async def _broker_restart(self, fault: Fault, _: Random) -> None:
        await asyncio.to_thread(self.broker.kill if fault.detail == "kill" else self.broker.stop)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(self.broker.start)

    async def _broker_freeze(self, fault: Fault, _: Random) -> None:
        self.broker.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            self.broker.send_signal(signal.SIGCONT)

    # Models

    async def _manifest(self, fault: Fault, random: Random) -> str:
        folder = self.models / str(1 + fault.number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.json").write_bytes(random.choice(MANIFESTS))
        return f"version {folder.name}"
