"""Quality of the lists: candidate sources, scores, lengths, what workers learn from shoppers, and the learning loop.

Only the last row measures whether shoppers like the lists; `intentstream evaluate` does so on a log.
"""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.data import DATA, VALUE
from monitoring.dashboards.panels import above, below, heatmap, stat, timeseries
from monitoring.dashboards.queries import mean, of, quantile, quantiles, rate, share, shares, total

LISTS = rate("recommendation_items_count")
EMPTY = share(rate("recommendations_total", 'source="none"'), LISTS)


def _exposure(by: str) -> dict[str, str]:
    """Shares of the exposure of each group of items."""
    of_groups = f'by="{by}"'
    return {"{{group}}": shares(rate("exposure_total", of_groups, by=("group",)), rate("exposure_total", of_groups))}


NOW = row(
    "Now",
    stat("Lists", "Lists delivered to shoppers, per second.", "eps", LISTS),
    stat("Empty lists", "Share of the lists without an item.", "percentunit", EMPTY, above(0.05, 0.01)),
    stat(
        "Items in the catalogue",
        "Items with a vector of the model in use, on the worker with the fewest.",
        "short",
        total(of("catalogue_items"), how="min"),
        below(1),
        none="no workers",
    ),
    stat(
        "Catalogue last changed",
        "Age of the catalogue record that was read last, on the worker that is furthest behind.",
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
        "Lists, counted once for each source that proposed the first item.",
        "eps",
        {"{{source}}": rate("recommendations_total", by=("source",))},
        stacked=True,
    ),
    timeseries(
        "Share by source",
        "Share of the lists, by source of the first item. Several sources may propose the same item."
        " A source that drops to 0 has lost its data.",
        "percentunit",
        {"{{source}}": shares(rate("recommendations_total", by=("source",)), LISTS)},
    ),
    timeseries(
        "Fallbacks",
        "Share of the lists that the model did not rank, or ranked without the vector of the search.",
        "percentunit",
        {"{{reason}}": shares(rate("fallbacks_total", by=("reason",)), LISTS)},
        above(0.05, 0.01),
    ),
)

SCORES = row(
    "Scores",
    timeseries(
        "Score of the first item",
        "The ranker's probability, in lists without a fallback. A jump without a new model means changed data.",
        "percentunit",
        quantiles("recommendation_score", 0.1, 0.5, 0.9),
        none="no ranked lists",
    ),
    heatmap("Distribution", "Number of first items by score.", "percentunit", "recommendation_score"),
    timeseries(
        "Items in a list",
        "Length of the lists. Lists are short if sources find few items or filters remove many.",
        "none",
        {"mean": mean("recommendation_items"), "p5": quantile(0.05, "recommendation_items")},
    ),
)

EXPOSURE = row(
    "Exposure",
    timeseries(
        "Exposure by age",
        "Share of the exposure, 1 / log2(1 + rank) of each listed item, by the item's age. Items without any action"
        " have no other way to get one.",
        "percentunit",
        _exposure("age"),
        stacked=True,
        none="no lists",
    ),
    timeseries(
        "Exposure by popularity",
        "The same by tenth of the items in stock; 1 holds the most popular ones.",
        "percentunit",
        _exposure("popularity"),
        stacked=True,
        none="no lists",
    ),
    timeseries(
        "Exposure by seller",
        "The same by seller; small sellers have less popularity than the mean."
        " INTENTSTREAM_FAIRNESS raises their share.",
        "percentunit",
        _exposure("seller"),
        stacked=True,
        none="no lists",
    ),
    timeseries(
        "Concentration",
        "Gini coefficient of the exposure (0: all items equal, near 1: few items have all) and the share of the items"
        " in stock that were listed, each in a worker's last 15 s: compare times with a similar number of lists.",
        "percentunit",
        {
            "Gini": f"{total(of('exposure_gini'), how='max')} >= 0",
            "coverage": f"{total(of('exposure_coverage'), how='max')} >= 0",
        },
        none="no lists",
    ),
)

LEARNING = row(
    "Learning",
    timeseries(
        "Catalogue",
        "Items with a vector of the model in use, by worker. Every worker holds the whole catalogue.",
        "short",
        {"{{instance}}": total(of("catalogue_items"), "instance")},
        none="no workers",
    ),
    timeseries(
        "Learned from shoppers",
        "Records of related items and of sessions that workers applied. Every worker applies every record.",
        "cps",
        {"{{topic}}": rate("learned_total", by=("topic",))},
        none="no workers",
    ),
    timeseries(
        "Not learned from",
        "Events that teach other shoppers' lists nothing: repeats on the same day, and events of robots. Many robots: "
        "a crawler, an attack, or a user id that many visitors share.",
        "cps",
        {"{{reason}}": rate("unlearned_events_total", by=("reason",))},
        none="no workers",
    ),
    timeseries(
        "Privacy budget of trends",
        "ε that each partition's published trends have spent since their worker started. A day must add no more than "
        "`INTENTSTREAM_TRENDS_EPSILON_PER_DAY`.",
        "none",
        {"partition {{partition}}": total(of("trends_epsilon_spent_total"), "partition")},
        none="trends without noise",
    ),
)

REFITS = row(
    "Learning loop",
    timeseries(
        "NDCG@20 of the ranker in use",
        "On gathered lists of the recent period and of the time before it. A gap between them is drift, and leads to a"
        " refit.",
        "none",
        {"{{period}}": f"{total(of('learn_ndcg'), 'period', how='max')} >= 0"},
        none="no learning loop",
    ),
    timeseries(
        "Refits",
        "Refits of the ranker since the loop started, by outcome. The log of `intentstream learn` has the reasons.",
        "none",
        {
            "{{outcome}}": total(of("learn_refits_total"), "outcome"),
            "rollbacks": total(of("learn_rollbacks_total")),
            "failures": total(of("learn_failures_total")),
        },
        none="no learning loop",
    ),
    timeseries(
        "Gain of the last candidate",
        "Difference to the ranker in use in NDCG@20 on held-out lists, with its lower bound. A version is published"
        " only if the bound is above the margin.",
        "none",
        {"gain": total(of("learn_refit_gain"), how="max"), "lower bound": total(of("learn_refit_gain_low"), how="max")},
        none="no refit",
    ),
    timeseries(
        "Click rate after a publication",
        "Share of the lists acted on, of the newest ranker and of the one before it. A proven drop brings the former"
        " ranker back.",
        "percentunit",
        {"{{ranker}}": f"{total(of('learn_click_rate'), 'ranker', how='max')} >= 0"},
        none="no publication",
    ),
)

LEARNER = row(
    "Learning loop: state",
    timeseries(
        "Drift and drop",
        "Drift is 1 while the ranker in use is worse than before, with confidence. The evidence of a drop of the click"
        " rate leads to a rollback at 1 / (1 − INTENTSTREAM_LEARN_CONFIDENCE).",
        "none",
        {"drift": total(of("learn_drift"), how="max"), "evidence": total(of("learn_drop_evidence"), how="max")},
        none="no learning loop",
    ),
    timeseries(
        "Propensities",
        "Probability that a rank of a list is examined, relative to the first. Lists acted on at low ranks weigh more"
        " in a refit.",
        "none",
        {"rank {{rank}}": total(of("learn_propensity"), "rank", how="max")},
        none="no refit",
    ),
    timeseries(
        "Lists and events",
        "Labelled lists on disk, and interactions that wait for their labels.",
        "short",
        {
            "lists": total(of("learn_lists_kept"), how="max"),
            "waiting": total(of("learn_waiting_events"), how="max"),
        },
        none="no learning loop",
    ),
    timeseries(
        "Time",
        "Age of the records that the loop reads, and duration of the last refit.",
        "s",
        {
            "lag": f"{total(of('learn_lag_seconds'), how='max')} >= 0",
            "refit": total(of("learn_refit_duration_seconds"), how="max"),
        },
        none="no learning loop",
    ),
)

DASHBOARD = board(
    "quality",
    "Recommendations quality",
    "Candidate sources, scores and lengths of the lists, and what workers learn from shoppers.",
    NOW,
    SOURCES,
    SCORES,
    EXPOSURE,
    DATA,
    VALUE,
    LEARNING,
    REFITS,
    LEARNER,
    runbooks=["data-quality", "empty-lists", "fallbacks", "learning"],
)
