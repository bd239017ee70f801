"""A report as one HTML file that needs no network: plots, tables, data and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from rich.text import Text

from streams.value.estimates import Estimate
from training.evaluation.figures import TITLES, change, metric_title, relation, share, with_margin
from training.evaluation.html import document, table_of
from training.evaluation.plots import plots
from training.evaluation.report import Report, Row
from training.evaluation.table import (
    EXPOSURE_TITLES,
    GROUPS,
    calibration_note,
    compared,
    exposed,
    exposure_rows,
    headlines,
)


def page(report: Report) -> str:
    """Return the whole page."""
    first, *more = (Text.from_markup(line).plain for line in headlines(report))
    figures = "\n".join(_figure(escape(title), svg) for title, svg in plots(report))
    body = f"""{f'<p class="verdict">{escape(report.verdict.sentence)}</p>' if report.verdict else ""}
{"".join(f'<p class="lead">{escape(line)}</p>' for line in more)}
<p class="lead">Measured {escape(report.measured_at[:16].replace("T", " "))} UTC. Each list was made before the events
that it predicts were learned. Intervals: 95%, bootstrap over {"shoppers" if report.data.events else "searches"}.</p>
<h2>All figures</h2>
{_rows(report)}
{_versus(report)}
<h2>Plots</h2>
{figures}
{_slices(report)}
{_worth(report)}
{_exposure(report)}
{_fairness(report)}
{_calibration(report)}
{_circumstances(report)}"""
    return document(f"Intentstream: {first}", body)


def _figure(title: str, svg: str) -> str:
    drawing = f'<div role="img" aria-label="{title}">{svg}</div>'
    return f"<figure><figcaption>{title}</figcaption>{drawing}</figure>"


def _rows(report: Report) -> str:
    columns = [
        (metric, int(k))
        for metric in TITLES
        for k in report.rows[0].metrics[metric]
        if _informative(report, metric, int(k))
    ]
    shown = any(row.coverage for row in report.rows)
    extra = ["shown", "bits", "µs of a list", "µs to learn"] if shown else []
    recommenders = [row for row in report.rows if row.group != "source"]
    best = {(metric, k): max(row.metrics[metric][str(k)].value for row in recommenders) for metric, k in columns}
    body, group = [], report.rows[0].group
    for row in report.rows:
        if row.group != group and GROUPS[row.group]:
            body.append(
                f'<tr class="group"><th colspan="{1 + len(columns) + len(extra)}">{GROUPS[row.group]}</th></tr>'
            )
        group = row.group
        cells = [_cell(report, row, metric, k, best[metric, k]) for metric, k in columns]
        cells += [f"<td>{text}</td>" for text in (_extra(report, row) if shown else ())]
        body.append(f'<tr class="{row.group}"><td>{escape(row.name)}</td>{"".join(cells)}</tr>')
    note = "<p>shown: share of the catalogue on at least one list; bits: novelty, mean −log₂ of popularity.</p>"
    return table_of(["", *(metric_title(*each) for each in columns), *extra], body) + (note if shown else "")


def _informative(report: Report, metric: str, k: int) -> bool:
    """Return whether a metric adds information. With one target, recall equals HR, and precision equals HR / k."""
    if report.protocol == "next-item":
        return metric == "hr" or (metric in ("mrr", "ndcg") and k == report.primary[0][1])
    return k == report.primary[0][1] or metric == report.primary[0][0]


def _cell(report: Report, row: Row, metric: str, k: int, best: float) -> str:
    found = row.metrics[metric][str(k)]
    text = _margin(found) if (metric, k) in report.primary else share(found.value)
    return f'<td class="best">{text}</td>' if row.group != "source" and found.value == best else f"<td>{text}</td>"


def _margin(found: Estimate) -> str:
    value, margin = with_margin(found).split(" ")
    return f"{value} <small>{margin}</small>"


def _extra(report: Report, row: Row) -> Iterable[str]:
    k = str(report.primary[0][1])
    yield f"{row.coverage[k]:.0%}"
    yield f"{row.novelty[k]:.1f}"
    yield "" if row.rank_us is None else f"{row.rank_us:,.0f}"
    yield "" if row.learn_us is None else f"{row.learn_us:,.1f}"


def _versus(report: Report) -> str:
    if not report.versus:
        return ""
    names = dict.fromkeys(each.baseline for each in report.versus)
    body = []
    for name in names:
        cells = "".join(
            f"<td>{change(each.difference)}</td><td>{relation(each.relative)}</td>"
            for each in report.versus
            if each.baseline == name
        )
        mark = ' class="marked"' if name == report.best_baseline else ""
        body.append(f"<tr{mark}><td>{escape(name)}</td>{cells}</tr>")
    header = ["", *(part for metric, k in report.primary for part in (metric_title(metric, k), ""))]
    return f"<h2>{escape(report.rows[0].name)} minus each baseline, paired</h2>" + table_of(header, body)


def _slices(report: Report) -> str:
    if not report.slices:
        return ""
    names = compared(report)
    titles = {"item": "earlier actions on the item: ", "shopper": "shopper: ", "position": "position "}
    body = [
        f"<tr><td>{titles[each.by]}{escape(each.name)}</td><td>{each.targets:,}</td>"
        + "".join(f"<td>{_margin(each.found[name])}</td>" for name in names)
        + "</tr>"
        for each in report.slices
    ]
    title = f"<h2>Targets found among the first {report.primary[0][1]}, by slice</h2>"
    return title + table_of(["", "targets", *names], body)


def _worth(report: Report) -> str:
    if not report.worth:
        return ""
    body = [
        f"<tr><td>{escape(each.source)}</td><td>{_margin(each.alone)}</td><td>{share(each.whole.value)}</td>"
        f"<td>{share(each.without.value)}</td><td>{change(each.loss)}</td></tr>"
        for each in sorted(report.worth, key=lambda worth: -worth.loss.value)
    ]
    title = f"<h2>Value of each source, {metric_title(*report.primary[0])}</h2>"
    return title + table_of(["", "alone", "with it", "without it", "value"], body)


def _exposure(report: Report) -> str:
    rows = exposure_rows(report)
    if not rows:
        return ""
    names = exposed(report)
    body = [
        f"<tr><td>{EXPOSURE_TITLES[each.by].format(escape(each.name))}</td><td>{each.items:.1%}</td>"
        + "".join(f"<td>{each.shown[name]:.1%}</td>" for name in names)
        + "</tr>"
        for each in rows
    ]
    spread = [report.concentration[name] for name in names]
    body.append(f"<tr><td>Gini</td><td></td>{''.join(f'<td>{share(each.gini)}</td>' for each in spread)}</tr>")
    body.append(f"<tr><td>coverage</td><td></td>{''.join(f'<td>{each.coverage:.1%}</td>' for each in spread)}</tr>")
    title = "<h2>Exposure of items, 1 / log₂(1 + rank), by group</h2>"
    return title + table_of(["", "items", *map(escape, names)], body)


def _fairness(report: Report) -> str:
    if not report.fairness:
        return ""
    body = []
    for each in report.fairness:
        cells = "".join(
            f"<td>{_margin(each.metrics[metric])}</td><td>{change(each.cost[metric]) if each.fairness else ''}</td>"
            for metric, _ in report.primary
        )
        body.append(
            f"<tr><td>{each.fairness:g}</td>{cells}<td>{each.new:.1%}</td><td>{each.small_sellers:.1%}</td>"
            f"<td>{each.tail:.1%}</td><td>{share(each.concentration.gini)}</td></tr>"
        )
    header = ["", *(part for metric, k in report.primary for part in (metric_title(metric, k), "cost"))]
    title = "<h2>Cost of INTENTSTREAM_FAIRNESS</h2>"
    return title + table_of([*header, "new", "small sellers", "tail", "Gini"], body)


def _calibration(report: Report) -> str:
    found = report.calibration
    if found is None:
        return ""
    body = [
        f"<tr><td>{number}</td><td>{each.items:,}</td><td>{share(each.predicted)}</td><td>{_margin(each.observed)}</td></tr>"
        for number, each in enumerate(found.tenths, start=1)
    ]
    note = f"<p>{escape(calibration_note(found))}. Lists that no action followed are among them.</p>"
    title = f"<h2>Calibration: probabilities of the items of {found.lists:,} lists, by tenth</h2>"
    return title + table_of(["tenth", "items", "predicted", "observed"], body) + note


def _circumstances(report: Report) -> str:
    sections: dict[str, Mapping[str, object]] = {"options": report.options, "settings": report.settings}
    parts = "".join(
        f"<h3>{name}</h3><p><code>{escape(', '.join(f'{key} {value}' for key, value in values.items()))}</code></p>"
        for name, values in sections.items()
    )
    space = escape(f"{report.model.name} {report.model.version}, vectors of {report.model.vector_space}")
    return f"<details><summary>Model, options and settings</summary><p><code>{space}</code></p>{parts}</details>"
