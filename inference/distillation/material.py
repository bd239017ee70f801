"""What a student can learn from, as the readers of `datasets` find it: plain text and who belongs to whom. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields

Graded = tuple[str, tuple[tuple[str, int], ...]]
"""A query, and titles with the grade that people gave them for it, 0 for what does not belong to it."""


@dataclass(frozen=True, slots=True)
class Material:
    """Texts of shops, cleaned.

    Attributes:
        titles: of items.
        lines: (title, the item as `item_text` writes it, with brand, category, description).
        descriptions: (title, short description) of the same item.
        matches: (title, title, whether both are the same product).
        baskets: titles of what was bought together.
        searches: (query, title of what the shopper turned to).
        graded: queries with graded titles.
        words: other texts, to imitate the teacher on only.
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
