"""The message contract: the public messages on Kafka, and those between operators and workers.

The classes hold data only. `serde.py` encodes and decodes them. `docs/contracts.md` documents them. Messages between
workers are in `internal.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec

from inference.placements import DEFAULT
from inference.records import NO_CLAIM, Because, Identifier, Item

__all__ = [
    "Because",
    "Cart",
    "Click",
    "DeadLetter",
    "Fault",
    "Forget",
    "ForgetReceipt",
    "Header",
    "Intent",
    "Interaction",
    "Item",
    "ItemAction",
    "ModelPin",
    "ModelRef",
    "Purchase",
    "Recommendations",
    "RecommendedItem",
    "Search",
    "Trigger",
    "View",
]  # fmt: skip

Timestamp = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 with an offset from UTC. The service writes UTC, with microseconds if there are any."""

PathPart = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$", max_length=128)]
"""One part of a path, not a path: letters, digits, dots, dashes and underscores."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
FORWARDED_HEADER = "intentstream-forwarded"
"""Header of a message that a worker forwarded to its key's partition: where the producer wrote it."""
PRODUCER_HEADER = "ce_source"
"""Header that names the producer of a message, as in the Kafka binding of CloudEvents. It is optional."""
TOO_LARGE = "the message is too large to be repeated here"
"""End of `detail` in a dead letter without the message's bytes."""
Scalar = str | Integer | float | bool | None
Context = Annotated[Mapping[str, Scalar | list[Scalar] | dict[str, Scalar]], msgspec.Meta(max_length=64)]
"""Additional data of the producer, at most two levels deep, so that every process reads it in the same way."""


class _Action(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """The fields of every interaction. `occurred_at` is the time of the action on the shop's clock."""

    event_id: Identifier
    user_id: Identifier
    occurred_at: Timestamp
    session_id: Identifier | None = None
    recommendation_id: Identifier | None = None
    context: Context = {}

    @property
    def type(self) -> str:
        """The interaction's type, as in the message: search, view, click, cart or purchase."""
        return str(self.__struct_config__.tag)


class Search(_Action, frozen=True, kw_only=True, tag="search"):
    """A shopper typed a query."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class ItemAction(_Action, frozen=True, kw_only=True):
    """A shopper's action on one item."""

    past_tense: ClassVar[str]

    item_id: Identifier
    quantity: Annotated[float, msgspec.Meta(gt=0)] | None = None
    price: Annotated[float, msgspec.Meta(ge=0)] | None = None


class View(ItemAction, frozen=True, kw_only=True, tag="view"):
    """The item's page was shown."""

    past_tense: ClassVar[str] = "viewed"


class Click(ItemAction, frozen=True, kw_only=True, tag="click"):
    """The item was clicked in a list."""

    past_tense: ClassVar[str] = "clicked"


class Cart(ItemAction, frozen=True, kw_only=True, tag="cart"):
    """The item was put into the cart."""

    past_tense: ClassVar[str] = "chose"


class Purchase(ItemAction, frozen=True, kw_only=True, tag="purchase"):
    """The item was bought."""

    past_tense: ClassVar[str] = "bought"


ItemInteraction = View | Click | Cart | Purchase
Interaction = Search | ItemInteraction


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """The interaction that a list answers, and its position in Kafka."""

    event_id: str
    type: str
    topic: str
    partition: Count
    offset: Count
    occurred_at: Timestamp


class RecommendedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One position of a list. `rank` starts at 1. `score` is finite, and comparable within the list.

    If the model ranked the list, `score` is the probability that the shopper acts on the item. `because` is the reason
    as data, without a claim in lists of older versions, and `reason` the same as a sentence. `matches` is there in the
    list of a search: false for an item that is only near to the search.
    """

    rank: Annotated[int, msgspec.Meta(ge=1)]
    item_id: str
    score: float
    sources: tuple[str, ...]
    reason: str
    because: Because = NO_CLAIM
    matches: bool | msgspec.UnsetType = msgspec.UNSET


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A label of the shopper's intent, with its share in [0, 1]. `kind` is category, brand or query."""

    kind: str
    label: str
    weight: Annotated[float, msgspec.Meta(ge=0, le=1)]


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """The model bundle that produced a list."""

    name: str
    version: str


class ModelPin(msgspec.Struct, frozen=True, kw_only=True):
    """The model bundle that workers must serve with: the folder NAME/VERSION beside their other models."""

    name: PathPart
    version: PathPart


class Recommendations(msgspec.Struct, frozen=True, kw_only=True):
    """A ranked list for one shopper that answers one interaction.

    `recommendation_id` is a function of the trigger's topic, partition and offset, and of the placement, except the
    default one: a repeat has the same id. `placement` is the place in the shop that the list is for.
    `fallback` is null if the model ranked the list, otherwise the reason why it did not.
    """

    recommendation_id: str
    user_id: str
    trigger: Trigger
    produced_at: Timestamp
    items: tuple[RecommendedItem, ...]
    intent: tuple[Intent, ...]
    model: ModelRef
    fallback: str | None
    placement: str = DEFAULT


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error of a message: the reason, the place in the message, and what was required and what came."""

    reason: str
    where: str
    detail: str


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A header of a message. `value` is base64 in JSON."""

    name: str
    value: bytes | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was refused: its position in Kafka, the reason, and its original bytes.

    `where` is the position of the fault in the message, as a JSON path or `key`. `others` are its further errors. `key`
    and `value` are base64 in JSON, and null if the worker leaves payloads out. `value_size` and `value_hash` describe
    the value: its bytes, and BLAKE2b of it with a digest of 16 bytes, as 32 hexadecimal digits.
    """

    topic: str
    partition: Count
    offset: Count
    reason: str
    where: str
    detail: str
    key: bytes | None
    value: bytes | None
    failed_at: Timestamp
    value_size: Count | None = None
    value_hash: str | None = None
    others: tuple[Fault, ...] = ()
    headers: tuple[Header, ...] = ()


class Forget(msgspec.Struct, frozen=True, kw_only=True):
    """A request to delete everything that is kept about a shopper. `request_id` comes back in the receipt."""

    type: Literal["forget"]
    request_id: Identifier
    user_id: Identifier


class ForgetReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a request to forget a shopper, after the deletions are on Kafka.

    `request_id` is that of the request; for a request without a value, its position as TOPIC/PARTITION/OFFSET.
    `profile` is whether there was a profile. `sessions` counts the published sessions that were deleted, and
    `unpublished` the sessions and item transitions that waited to be published. `requested_at` is the time at which
    Kafka took the request.
    """

    request_id: str
    user_id: str
    partition: Count
    offset: Count
    profile: bool
    sessions: Count
    unpublished: Count
    requested_at: Timestamp
    completed_at: Timestamp


def occurred_ms(interaction: Interaction) -> int:
    """Return the event time by the shop's clock, in milliseconds since the epoch."""
    return int(interaction.occurred_at.timestamp() * 1000)
