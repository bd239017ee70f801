"""Owners of shoppers' profiles: this worker's own ones are read here, other requests go one hop to their owner.

The consumer group's assignment says which worker owns a partition, and at which URL it serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp

from streams.kafka.producer import partition_of
from streams.worker.health import Health
from streams.worker.profile_store import ProfileStore

FORWARDED = "Intentstream-Forwarded"
"""Header of a request that another worker forwarded. It is answered where it is: no request goes in a circle."""
HOP_S = 0.5
"""Seconds that the owner of a profile may take, the connection included."""
NOBODY = ""
PASSED_ON = ("authorization", "content-type", "accept-language")

Distribution = Callable[[], Mapping[str, Mapping[str, Sequence[int]]]]
"""Function that returns the changelog partitions of each worker: URL → topic → partitions."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of another worker."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it came: method, path and query, headers by lower-case name, and the decompressed body."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(slots=True, kw_only=True)
class Owners:
    """Profiles by user id, wherever they are.

    Attributes:
        own_url: URL of this worker, as the group knows it.
        owns: function that returns whether the group has assigned a partition to this worker.
        changelog: changelog topic of the profiles.
        partitions: number of partitions.
        distribution: the group's assignment.
        store: the profiles of this worker.
        health: says whether the profiles are recovered.
    """

    own_url: str
    owns: Callable[[int], bool]
    changelog: str
    partitions: int
    distribution: Distribution
    store: ProfileStore
    health: Health
    session: aiohttp.ClientSession | None = None

    def owner(self, user_id: str) -> str:
        """Return the URL of the worker that owns a shopper's profile, NOBODY during a rebalance."""
        partition = partition_of(user_id.encode(), self.partitions)
        for url, topics in self.distribution().items():
            if partition in topics.get(self.changelog, ()):
                return url
        return NOBODY

    def is_readable(self, user_id: str) -> bool:
        """Return whether this worker has the shopper's profile. It holds until the next await of the event loop."""
        # A rebalance clears `tables_recovered` before databases are closed, and sets it after they are restored.
        # A database of another partition must not be opened: it would be created, empty.
        ready = self.health.tables_recovered and not self.health.stopping
        return ready and self.owns(partition_of(user_id.encode(), self.partitions))

    def read(self, user_id: str) -> bytes | None:
        """Return the profile of a shopper whose profile is readable, None for a new shopper."""
        user = user_id.encode()
        return self.store.peek(partition_of(user, self.partitions), user)

    async def forward(self, user_id: str, sent: Sent) -> Answer | None:
        """Send a request to the owner of a shopper's profile and return its answer; None if there is no answer in time.

        Also None if the owner is this worker or nobody.
        """
        url = self.owner(user_id)
        if url in (NOBODY, self.own_url):
            return None
        if self.session is None:
            # The answer's bytes are passed on as they come.
            self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HOP_S), auto_decompress=False)
        try:
            async with self.session.request(
                sent.method,
                url + sent.target,
                data=sent.body,
                headers={FORWARDED: "1", **{name: sent.headers[name] for name in PASSED_ON if name in sent.headers}},
                allow_redirects=False,
            ) as answer:
                if answer.status >= 500:  # the owner is starting, stopping or busy
                    return None
                return Answer(answer.status, answer.headers.get("Content-Type", ""), await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def close(self) -> None:
        """Close connections to other workers."""
        if self.session is not None:
            await self.session.close()
