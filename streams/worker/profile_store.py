"""Profiles of shoppers in their table, under the shoppers' pseudonyms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from faust.types import Message

from streams.protection import Pseudonyms
from streams.state.table import StateTable
from streams.worker.delivery import Delivered, Shopper, by_partition


@dataclass(slots=True)
class ProfileStore:
    """Profiles by partition and name. The partition is that of the shopper's events, whatever the name.

    A profile that was written before pseudonyms were switched on lies under the user id. It is read once more, and the
    next write moves it.

    Attributes:
        table: the table of profiles.
        pseudonyms: the names of shoppers.
    """

    table: StateTable
    pseudonyms: Pseudonyms
    _former: dict[Shopper, bytes] = field(default_factory=dict)
    """User ids of the profiles that are read and have yet to move."""

    def shopper(self, message: Message) -> Shopper:
        """Return the partition and the name of a message's shopper."""
        return message.partition, self.pseudonyms.name(message.key)

    def read(self, messages: Iterable[Message]) -> dict[Shopper, bytes | None]:
        """Read the profile of each shopper once, one partition after the other. None stands for a new shopper."""
        stored, former = self._stored({self.shopper(message): message.key for message in messages})
        self._former.update(former)
        return stored

    def peek(self, partition: int, user_id: bytes) -> bytes | None:
        """Read one shopper's profile, which will not be written back."""
        shopper = partition, self.pseudonyms.name(user_id)
        stored, _ = self._stored({shopper: user_id})
        return stored[shopper]

    def write(self, shoppers: Sequence[Shopper], profiles: Sequence[bytes]) -> None:
        """Write profiles to the store, one write for each partition."""
        for partition, values in by_partition(shoppers, profiles).items():
            # The deletion of the former key is in the same atomic write, so a crash leaves the profile under one key.
            former = [(self._former[partition, name], None) for name, _ in values if (partition, name) in self._former]
            self.table.put_many(partition, [*values, *former])

    async def log(self, shoppers: Sequence[Shopper], profiles: Sequence[bytes]) -> list[Delivered]:
        """Send written profiles to the changelog."""
        deliveries: list[Delivered] = []
        for partition, values in by_partition(shoppers, profiles).items():
            # Forgotten only here: `write` has deleted the former key in the store, and this deletes it in the
            # changelog.
            former = [self._former.pop((partition, name), None) for name, _ in values] if self._former else []
            tombstones = [(user_id, None) for user_id in former if user_id is not None]
            deliveries += await self.table.log_many(partition, [*values, *tombstones])
        return deliveries

    def remove(self, messages: Sequence[Message]) -> list[bool]:
        """Delete the profiles of messages' shoppers from the store. Return whether each existed."""
        stored = self.read(messages)
        for partition, tombstones in self._tombstones(messages).items():
            self.table.put_many(partition, tombstones)
        return [stored[self.shopper(message)] is not None for message in messages]

    async def log_removal(self, messages: Sequence[Message]) -> list[Delivered]:
        """Send tombstones of deleted profiles to the changelog."""
        deliveries: list[Delivered] = []
        for partition, tombstones in self._tombstones(messages).items():
            deliveries += await self.table.log_many(partition, tombstones)
        return deliveries

    def _tombstones(self, messages: Sequence[Message]) -> dict[int, list[tuple[bytes, bytes | None]]]:
        """Return tombstones by partition, for names and for user ids, which a profile may still have as its key."""
        keys: dict[Shopper, None] = {}
        for message in messages:
            shopper = self.shopper(message)
            self._former.pop(shopper, None)
            keys[shopper] = keys[message.partition, message.key] = None
        return by_partition(list(keys), [None] * len(keys))

    def _stored(self, users: Mapping[Shopper, bytes]) -> tuple[dict[Shopper, bytes | None], dict[Shopper, bytes]]:
        """Return each shopper's profile, and the user ids of those that lie under it. `users` has all user ids."""
        stored, former = self._read(users), dict[Shopper, bytes]()
        if self.pseudonyms.hides_ids:
            new = {
                (partition, users[partition, name]): name for (partition, name), data in stored.items() if data is None
            }
            for (partition, user_id), data in self._read(new).items():
                if data is not None:
                    shopper = (partition, new[partition, user_id])
                    stored[shopper], former[shopper] = data, user_id
        return stored, former

    def _read(self, shoppers: Iterable[Shopper]) -> dict[Shopper, bytes | None]:
        keys: dict[int, list[bytes]] = {}
        for partition, name in shoppers:
            keys.setdefault(partition, []).append(name)
        return {
            (partition, name): data
            for partition, own in keys.items()
            for name, data in zip(own, self.table.read_many(partition, own), strict=True)
        }
