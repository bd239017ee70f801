"""The model: the one in use, the time of each stage, the size of batches, and fallbacks."""

from __future__ import annotations

from monitoring.dashboards.board import board, row
from monitoring.dashboards.panels import above, heatmap, timeseries
from monitoring.dashboards.queries import increase, mean, of, quantile, quantiles, rate, total

STAGE = "stage_duration_seconds"
INFERENCE = "scorer_inference_seconds"

MODEL = row(
    "Model",
    timeseries(
        "In use",
        "Workers by model. If two models stay, a worker lacks the new model, or items still lack vectors.",
        "none",
        {"{{name}} {{version}}, {{provider}}": f"count by (name, version, provider) ({of('model_info')})"},
        none="no model",
        stacked=True,
    ),
    timeseries(
        "Time in use",
        "Time since the model in use took over, by worker.",
        "s",
        {"{{instance}}": f"time() - {total(of('model_loaded_timestamp_seconds'), 'instance', how='max')}"},
        none="no model",
    ),
    timeseries(
        "Swaps",
        "Models that took over, were refused, or were superseded by a newer choice.",
        "none",
        {"{{outcome}}": increase("model_swaps_total", by=("outcome",))},
        none="no workers",
    ),
    timeseries(
        "Items that lack a vector",
        "Items that still lack a vector of the new model, by worker. The model takes over when none is left.",
        "short",
        {"{{instance}}": total(of("model_swap_missing_items"), "instance")},
        none="no workers",
    ),
)

STAGES = row(
    "Stages",
    timeseries(
        "p99 by stage",
        "99th percentile of the time that a stage takes for a batch.",
        "s",
        {"{{stage}}": quantile(0.99, STAGE, by=("stage",))},
        above(0.25, 0.1),
    ),
    timeseries(
        "Mean by stage",
        "Mean time that a stage takes for a batch.",
        "s",
        {"{{stage}}": mean(STAGE, by=("stage",))},
    ),
    timeseries(
        "Time by stage",
        "Seconds that all workers spend in a stage, per second.",
        "s",
        {"{{stage}}": rate(f"{STAGE}_sum", by=("stage",))},
        stacked=True,
    ),
)

INFERENCES = row(
    "Inference",
    timeseries(
        "Inference time",
        "Time of one run of the ranker's graph in ONNX Runtime, by execution provider.",
        "s",
        {
            "p50, {{provider}}": quantile(0.5, INFERENCE, by=("provider",)),
            "p99, {{provider}}": quantile(0.99, INFERENCE, by=("provider",)),
        },
        above(0.2, 0.05),
    ),
    timeseries(
        "Inference runs",
        "Runs of the ranker's graph, by execution provider.",
        "ops",
        {"{{provider}}": rate(f"{INFERENCE}_count", by=("provider",))},
    ),
    timeseries(
        "Lists with a fallback",
        "Lists not ranked because the model was late or failed, and lists ranked without the vector of the search.",
        "eps",
        {"{{reason}}": rate("fallbacks_total", by=("reason",))},
        above(1, 0.1),
    ),
)

BATCHES = row(
    "Batches",
    timeseries(
        "Batch size",
        "Queries in one batch. Larger batches wait longer and save CPU time.",
        "none",
        {"mean": mean("batch_size"), "p99": quantile(0.99, "batch_size")},
    ),
    timeseries(
        "Wait for the batch",
        "Time from the arrival of a query to the start of its batch.",
        "s",
        quantiles("batch_queue_seconds", 0.5, 0.99),
        above(0.2, 0.05),
    ),
    heatmap("Inference time, distribution", "Number of ranker runs by duration.", "s", INFERENCE),
)

DASHBOARD = board(
    "scorer",
    "Scorer",
    "The model in use, the time of each stage, the size of batches, and fallbacks.",
    MODEL,
    STAGES,
    INFERENCES,
    BATCHES,
    runbooks=["fallbacks", "model"],
)
