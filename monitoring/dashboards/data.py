"""Rows of the quality dashboard on the shop's data: what is wrong with the streams, and what the data are worth."""

from __future__ import annotations

from monitoring.dashboards.board import row
from monitoring.dashboards.panels import timeseries
from monitoring.dashboards.queries import increase, of, quantiles, total

DATA = row(
    "Data",
    timeseries(
        "Data findings",
        "Streams that depart from what is usual for them, by expectation. `intentstream assets quality` and the log"
        " name the producer and the field.",
        "none",
        {"{{expectation}}": total(of("data_findings"), "expectation", how="max")},
        none="no workers",
    ),
    timeseries(
        "New data findings",
        "Findings that were opened, on all workers. Some an hour without a change of a producer mean that a tolerance"
        " is too narrow.",
        "none",
        {"{{expectation}}": increase("data_findings_opened_total", by=("expectation",))},
        none="no workers",
    ),
    timeseries(
        "Time of an evaluation",
        "Time in which a worker compares all streams with what is usual, once an interval.",
        "s",
        quantiles("data_quality_seconds", 0.5, 0.99),
        none="no profiles",
    ),
    timeseries(
        "Failures",
        "Profiles that were not made, published or read, and evaluations that failed. The log names the cause."
        " Lists are not affected.",
        "none",
        {"failures": increase("data_quality_failures_total")},
        none="no workers",
    ),
)

VALUE = row(
    "Value of data",
    timeseries(
        "Loss without an event type",
        "Share of the hits that lists lose without the events of a type, by the last report of `intentstream value`. It"
        " changes when a new report is made.",
        "percentunit",
        {"{{type}}": f"{total(of('value_loss'), 'type', how='max')} > -Inf"},
        none="no report",
    ),
    timeseries(
        "Assets by their effect",
        "Sources, features, event types, producers, fields and history by what lists lose without them. The console's"
        " page Value names the harmful ones.",
        "none",
        {"{{effect}}": total(of("value_assets"), "effect", how="max")},
        none="no report",
    ),
    timeseries(
        "Harmful producers and wrong files",
        "Producers without whose events lists are better, beyond chance: the console's page Value names them. 1 if a"
        " worker cannot read the report.",
        "none",
        {
            "harmful producers": total(of("value_assets", 'kind="producer",effect="harms"'), how="max"),
            "unreadable report": total(of("value_report_problem"), how="max"),
        },
        none="no report",
    ),
    timeseries(
        "Age of the report",
        "Time since the report was made.",
        "s",
        {"age": f"time() - ({total(of('value_report_timestamp_seconds'), how='max')} > 0)"},
        none="no report",
    ),
)
