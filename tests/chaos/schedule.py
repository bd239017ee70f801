"""Kinds of faults, and the schedule that a seed draws from them. No I/O: the same seed gives the same schedule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from json import dumps
from random import Random

from tests.chaos.damage import FILE_DAMAGES, LOG_DAMAGES

WORKERS = ("one", "two")
"""Workers that run all the time. `JOINING` joins and leaves."""
JOINING = "three"
NOBODY, ITS_WORKER, EVERYBODY = "nobody", "its worker", "everybody"
OVERLAP = 0.25
"""Share of faults that begin while the one before may still last."""


@dataclass(frozen=True)
class Kind:
    """Kind of fault.

    Attributes:
        text: what happens, for the report.
        seconds: shortest and longest duration.
        details: variants, one of which is drawn.
        on_worker: whether it hits one of WORKERS.
        ends: whose process may end by it, other than by the fault itself.
        grace_s: time after its end in which a process may still end by it.
    """

    text: str
    seconds: tuple[float, float] = (0.0, 0.0)
    details: tuple[str, ...] = ("",)
    on_worker: bool = False
    ends: str = NOBODY
    grace_s: float = 60.0


@dataclass(frozen=True)
class Fault:
    """One fault of a schedule: when it begins, what, where and for how long."""

    number: int
    at_s: float
    kind: str
    worker: str
    seconds: float
    detail: str

    def __str__(self) -> str:
        about = [self.worker, f"{self.seconds:.1f} s" if self.seconds else "", self.detail]
        return " ".join([self.kind, *filter(None, about)])


KINDS = {
    "kill": Kind("`kill -9` of a worker", on_worker=True),
    "stop": Kind("SIGTERM to a worker", on_worker=True),
    "pause": Kind("a worker frozen for less than its session timeout", (1.0, 4.0), on_worker=True),
    "freeze": Kind(
        "a worker frozen (SIGSTOP) for longer than its session timeout", (8.0, 40.0), on_worker=True, ends=ITS_WORKER
    ),
    "wipe": Kind("`kill -9`, and the worker's directory deleted", (0.5, 2.0), on_worker=True),
    "damage": Kind(
        "`kill -9`, and RocksDB's files damaged",
        (0.5, 2.0),
        FILE_DAMAGES,
        on_worker=True,
        ends=ITS_WORKER,  # a read that finds the damage ends the worker, and its next start restores the database
        grace_s=600.0,
    ),
    "log damage": Kind("`kill -9`, and RocksDB's write-ahead log damaged", (0.5, 2.0), LOG_DAMAGES, on_worker=True),
    "join": Kind("a third worker joins, and leaves", (8.0, 20.0)),
    "starve": Kind("a worker gets 15% of a CPU", (5.0, 15.0), on_worker=True),
    "broker restart": Kind("Kafka stopped, and started again", (0.5, 3.0), ("SIGTERM", "kill"), ends=EVERYBODY),
    "broker freeze": Kind("Kafka frozen", (3.0, 15.0), ends=EVERYBODY),
    "hostile": Kind("invalid messages on the input topics"),
    "odd": Kind("valid messages at the limits of the contract"),
    "codecs": Kind("events and items compressed by each codec"),
    "transactions": Kind("aborted, committed and open transactions", (2.0, 6.0)),
    "resend": Kind("events sent again with the same `event_id`"),
    "misplaced": Kind("events and items in another partition than their key's"),
    "poison": Kind("records on internal topics that no version writes"),
    "manifest": Kind("a newer model with a malformed manifest"),
}
"""All kinds, by name."""

PENDING: dict[str, str] = {}
"""Kinds that this version does not survive yet, and why. `--pending` runs them too."""


@dataclass(frozen=True)
class Pace:
    """Least and most seconds between the end of a fault and the begin of the next, and the longest fault."""

    least_s: float = 3.0
    most_s: float = 12.0
    longest_s: float = 60.0

    def pause(self, random: Random) -> float:
        """Draw the seconds between two faults."""
        return random.uniform(self.least_s, self.most_s)


def draw(seed: int, seconds: float, kinds: Iterable[str], pace: Pace = Pace()) -> list[Fault]:
    """Draw the faults of a run. Each kind occurs once before any occurs twice."""
    random = Random(f"faults {seed}")
    faults: list[Fault] = []
    waiting: list[str] = []
    names = sorted(kinds)
    at_s = pace.pause(random)
    while names:
        if not waiting:
            waiting = random.sample(names, len(names))
        name = waiting.pop()
        kind = KINDS[name]
        lasts = min(random.uniform(*kind.seconds), max(pace.longest_s, kind.seconds[0]))
        if at_s + lasts > seconds:
            break
        worker = random.choice(WORKERS) if kind.on_worker else ""
        fault = Fault(len(faults) + 1, round(at_s, 1), name, worker, round(lasts, 1), random.choice(kind.details))
        faults.append(fault)
        at_s += random.uniform(1.0, 3.0) if random.random() < OVERLAP else lasts + pace.pause(random)
    return faults


def as_lines(faults: Iterable[Fault]) -> str:
    """Return the schedule as JSON lines."""
    return "".join(dumps(asdict(fault)) + "\n" for fault in faults)
