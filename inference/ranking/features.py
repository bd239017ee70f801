"""The names of the ranker's features, in the order of its columns. A bundle's manifest lists the same names.

All features are in [-1, 1] and none depends on the size of the shop, so a ranker fitted in one shop works in another.
A ranker that was fitted to some of them reads only those.
Scores of sources are shares, not counts. Their square roots spread small shares. `feature_matrix.py` computes them.
"""

from __future__ import annotations

from inference.retrieval.sources import SOURCES

LAST_ITEMS = 3
"""Number of the session's newest items that a candidate is compared with."""
LONG_SESSION = 24
"""Length of a session that counts as 1. No more items are remembered."""
OFTEN = 20
"""Number of purchases of one item that counts as 1."""

SIMILARITIES = (
    "short_term",  # cosine to the short-term intent vector; 0 without one
    "long_term",  # cosine to the long-term intent vector; 0 without one
    "query",  # cosine to the search's vector; 0 without one
    "last_item",  # cosine to the last item of the session
    "last_items",  # greatest cosine to the last LAST_ITEMS of the session
)
_FIRST_SCORES = (
    "together",  # √ of the source's score: co-occurrence with the items of the session
    "next",  # co-occurrence with the last item
    "sessions",  # share of similar sessions that have the item
    "clicked",  # share of the actions after this search
    "words",  # match of the item's text with the words of the search
    "repeat",  # how due the item is by the shopper's own rhythm
)
"""The scores in the order to which rankers are fitted. Scores of further sources follow in the order of `SOURCES`."""
_SCORES = {source.score: source.name for source in SOURCES if source.score is not None}
SCORED = {name: _SCORES[name] for name in dict.fromkeys((*_FIRST_SCORES, *_SCORES))}
"""The source of each feature that is √ of a source's score."""
PLACED = {source.place: source.name for source in SOURCES if source.place is not None}
"""The source of each feature that is 1 / the item's rank in a source, 0 if the source did not propose the item."""
POPULARITIES = (
    "popularity",  # √ of the item's current popularity, relative to the most popular item
    "lasting",  # √ of the same over weeks
    "new",  # 1 if nobody has acted on the item yet
)
PERSONAL = (
    "category",  # the shopper's affinity to the item's category
    "brand",  # the shopper's affinity to the item's brand
    "same_category",  # 1 if the last item of the session has the same category
    "same_brand",  # 1 if it has the same brand
    "seen_before",  # 1 if the shopper acted on the item in an earlier session
    "bought",  # log of how often the shopper bought it, decayed: 1 for OFTEN
    "price",  # exp(−z²/2), z being the price's distance to the shopper's usual one in deviations; 0 if unknown
    "dearer",  # tanh(z): above the usual price or below
)
CONTEXT = (
    "searching",  # 1 if the shopper searches
    "session_length",  # log of how many items the session has, 1 for LONG_SESSION
    "habits",  # 1 if the shopper bought something before
    "intent",  # 1 if there is a long-term intent
)
"""Features that are equal for all candidates of a list. They can change the effect of the other features, and the
probability of all candidates."""

FEATURES = (*SIMILARITIES, *SCORED, *PLACED, *POPULARITIES, *PERSONAL, *CONTEXT)
