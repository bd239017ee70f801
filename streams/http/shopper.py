"""A shopper's profile in words."""

from __future__ import annotations

import msgspec

from streams.http.messages import UserProfile
from streams.items.live import LiveCatalogue
from streams.profiles import codec
from streams.profiles.description import Names, describe


def profile_of(user_id: str, stored: bytes, live: LiveCatalogue) -> UserProfile:
    """Describe a stored profile with the names of the catalogue. Raises ProfileCodecError if it is unreadable."""
    profile = codec.read(stored)
    keys = {int(key) for table in (profile.recent, profile.habits) for key in table["key"]}
    labels = {int(key) for table in (profile.categories, profile.brands) for key in table["key"]}
    names = Names(
        items={key: record.item for key in keys if (record := live.by_key(key)) is not None},
        labels={key: label for key in labels if (label := live.label(key)) is not None},
    )
    return msgspec.convert({**describe(profile, names), "user_id": user_id}, UserProfile)
