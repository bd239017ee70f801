"""Checks of the translations of a gettext domain."""

from __future__ import annotations

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

Messages = dict[tuple[str, ...], tuple[str, ...]]
"""Translations by message. Each is one text, or several if there is a plural."""


def forms(text: object) -> tuple[str, ...]:
    return tuple(map(str, text)) if isinstance(text, list | tuple) else (str(text),)


def messages_of(catalog: Catalog) -> Messages:
    return {forms(message.id): forms(message.string) for message in catalog if message.id}


def translated(domain: str, folder: Path, language: str) -> Messages:
    """Return the translations of the .po file."""
    with (folder / language / "LC_MESSAGES" / f"{domain}.po").open("rb") as file:
        return messages_of(read_po(file))


def compiled(domain: str, folder: Path, language: str) -> Messages:
    """Return the translations of the .mo file."""
    with (folder / language / "LC_MESSAGES" / f"{domain}.mo").open("rb") as file:
        return messages_of(read_mo(file))
