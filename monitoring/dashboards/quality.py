"""What shoppers are shown: where it comes from, how sure the model is, how full the lists are, what was learned.

None of it says whether shoppers like the lists: `intentstream evaluate` does, over a log.
"""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.panels import above, below, heatmap, stat, timeseries
from monitoring.dashboards.queries import mean, of, quantile, quantiles, rate, share, shares, total

LISTS = rate("recommendation_items_count")
EMPTY = share(rate("recommendations_total", 'source="none"'), LISTS)

NOW = row(
    "Now",
    stat("Lists", "Delivered to shoppers.", "eps", LISTS),
    stat("Empty lists", "Share of the lists that hold no item.", "percentunit", EMPTY, above(0.05, 0.01)),
    stat(
        "Items in the catalogue",
        "With a vector of the model in use, of the worker that has fewest.",
        "short",
        total(of("catalogue_items"), how="min"),
        below(1),
        none="no workers",
    ),
    stat(
        "Catalogue last changed",
        "Time since the newest record of the catalogue was read, of the worker that is furthest behind.",
        "s",
        f"{total(of('catalogue_freshness_seconds'), how='max')} >= 0",
        above(7 * 86_400, 86_400),
        none="no catalogue",
    ),
    height=4,
)

SOURCES = row(
    "Sources",
    timeseries(
        "First items by source",
        "Lists, once for each source that proposed their first item.",
        "eps",
        {"{{source}}": rate("recommendations_total", by=("source",))},
        stacked=True,
    ),
    timeseries(
        "Share by source",
        "Of the lists; several sources may propose the same first item. A source that drops to 0 has lost its data.",
        "percentunit",
        {"{{source}}": shares(rate("recommendations_total", by=("source",)), LISTS)},
    ),
    timeseries(
        "Fallbacks",
        "Share of the lists that were made without the model, or without the search's vector.",
        "percentunit",
        {"{{reason}}": shares(rate("fallbacks_total", by=("reason",)), LISTS)},
        above(0.05, 0.01),
    ),
)

SCORES = row(
    "Scores",
    timeseries(
        "Score of the first item",
        "The ranker's probability; of ranked lists only. A jump without a new model is a change in the data.",
        "percentunit",
        quantiles("recommendation_score", 0.1, 0.5, 0.9),
        none="no ranked lists",
    ),
    heatmap("Distribution", "How many first items have which score.", "percentunit", "recommendation_score"),
    timeseries(
        "Items in a list",
        "Short lists: sources find little, or filters take much.",
        "none",
        {"mean": mean("recommendation_items"), "p5": quantile(0.05, "recommendation_items")},
    ),
)

LEARNING = row(
    "Learning",
    timeseries(
        "Catalogue",
        "Items with a vector of the model in use, by worker: every worker holds all.",
        "short",
        {"{{instance}}": total(of("catalogue_items"), "instance")},
        none="no workers",
    ),
    timeseries(
        "Learned from shoppers",
        "Records taken over of which items go together and of sessions; every worker takes each.",
        "cps",
        {"{{topic}}": rate("learned_total", by=("topic",))},
        none="no workers",
    ),
)

DASHBOARD = board(
    "quality",
    "Recommendations quality",
    "What shoppers are shown: where it comes from, how sure the model is, how full the lists are, what was learned.",
    NOW,
    SOURCES,
    SCORES,
    LEARNING,
    runbooks=["empty-lists", "fallbacks"],
)
