"""The model: which one serves, how long each stage takes, how full its batches are, how often it is passed by."""

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
        "Workers that serve with each model. Two for long: a worker lacks the model, or items still lack vectors.",
        "none",
        {"{{name}} {{version}}, {{provider}}": f"count by (name, version, provider) ({of('model_info')})"},
        none="no model",
        stacked=True,
    ),
    timeseries(
        "In use since",
        "Time since the model in use took over, by worker.",
        "s",
        {"{{instance}}": f"time() - {total(of('model_loaded_timestamp_seconds'), 'instance', how='max')}"},
        none="no model",
    ),
    timeseries(
        "Swaps",
        "Models that lately took over, were refused, or were superseded by a newer wish.",
        "none",
        {"{{outcome}}": increase("model_swaps_total", by=("outcome",))},
        none="no workers",
    ),
    timeseries(
        "Items without a new vector",
        "Items that the model to take over has yet to get a vector of, by worker; it waits until there are none.",
        "short",
        {"{{instance}}": total(of("model_swap_missing_items"), "instance")},
        none="no workers",
    ),
)

STAGES = row(
    "Stages",
    timeseries(
        "p99 by stage",
        "How long a stage takes for its batch.",
        "s",
        {"{{stage}}": quantile(0.99, STAGE, by=("stage",))},
        above(0.25, 0.1),
    ),
    timeseries(
        "Mean by stage",
        "How long a stage takes for its batch, in the mean.",
        "s",
        {"{{stage}}": mean(STAGE, by=("stage",))},
    ),
    timeseries(
        "Where time goes",
        "Seconds that the workers spend in each stage, in each second.",
        "s",
        {"{{stage}}": rate(f"{STAGE}_sum", by=("stage",))},
        stacked=True,
    ),
)

INFERENCES = row(
    "Inference",
    timeseries(
        "One run of the ranker",
        "Of its graph in ONNX Runtime, by execution provider.",
        "s",
        {
            "p50, {{provider}}": quantile(0.5, INFERENCE, by=("provider",)),
            "p99, {{provider}}": quantile(0.99, INFERENCE, by=("provider",)),
        },
        above(0.2, 0.05),
    ),
    timeseries("Runs", "Of the ranker's graph.", "ops", {"{{provider}}": rate(f"{INFERENCE}_count", by=("provider",))}),
    timeseries(
        "Not ranked by the model",
        "Lists in retrieval order because scoring was late or failed, and lists without the search's vector.",
        "eps",
        {"{{reason}}": rate("fallbacks_total", by=("reason",))},
        above(1, 0.1),
    ),
)

BATCHES = row(
    "Batches",
    timeseries(
        "Queries ranked at once",
        "Larger batches cost waiting and save CPU time.",
        "none",
        {"mean": mean("batch_size"), "p99": quantile(0.99, "batch_size")},
    ),
    timeseries(
        "Waiting for the batch",
        "From a query's arrival until its batch begins.",
        "s",
        quantiles("batch_queue_seconds", 0.5, 0.99),
        above(0.2, 0.05),
    ),
    heatmap("Inference", "How many runs of the ranker took how long.", "s", INFERENCE),
)

DASHBOARD = board(
    "scorer",
    "Scorer",
    "Which model serves, how long each stage takes, how full its batches are, how often it is passed by.",
    MODEL,
    STAGES,
    INFERENCES,
    BATCHES,
    runbooks=["fallbacks", "model"],
)
