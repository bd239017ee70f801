"""The training material of a student, as the readers return it: plain texts and their relations. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, fields

Graded = tuple[str, tuple[tuple[str, int], ...]]
"""A query, and titles with the grades that people gave them for it, 0 for an irrelevant title."""


@dataclass(frozen=True, slots=True)
class Material:
    """Texts of shops, cleaned.

    Attributes:
        titles: titles of items.
        lines: (title, the item as `item_text` writes it, with brand, category, description).
        descriptions: (title, short description) of the same item.
        matches: (title, title, whether both are the same product).
        baskets: titles of items that were bought together.
        searches: (query, title of an item that the shopper acted on afterwards).
        graded: queries with graded titles.
        words: other texts, for which the student only imitates the teacher.
    """

    titles: tuple[str, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    descriptions: tuple[tuple[str, str], ...] = ()
    matches: tuple[tuple[str, str, bool], ...] = ()
    baskets: tuple[tuple[str, ...], ...] = ()
    searches: tuple[tuple[str, str], ...] = ()
    graded: tuple[Graded, ...] = ()
    words: tuple[str, ...] = ()

    def __add__(self, other: Material) -> Material:
        return Material(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))
