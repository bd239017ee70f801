"""The sections on sessions, cost and the live value model, for the terminal and as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from rich import box
from rich.table import Table

from training.evaluation.figures import change, relation, share
from training.evaluation.html import table_of
from training.value.session_report import SessionValues

Rows = Sequence[Sequence[str]]


def terminal_table(title: str, header: Sequence[str], rows: Rows, caption: str | None = None) -> Table:
    """Return a table for the terminal. The first column is text."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left", title_style="", caption=caption
    )
    for place, name in enumerate(header):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table for the page."""
    return table_of(header, ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows])


GROUPS = ("group", "sessions", "shoppers", "part of the value", "value of a session, 95%", "negative")
AGES = ("age in days", "part of the value", "part of the neighbours")
REMOVALS = ("removed", "sessions", "lists", "MRR@20", "change without them, 95%", "relative")


def group_rows(found: SessionValues) -> Rows:
    """Return the rows of GROUPS."""
    return [
        (f"{each.by}: {each.name}", f"{each.sessions:,}", f"{each.shoppers:,}", f"{each.share:.1%}",
         change(each.per_session), f"{each.negative:.0%}")
        for each in found.groups
    ]  # fmt: skip


def age_rows(found: SessionValues) -> Rows:
    """Return the rows of AGES."""
    return [
        (f"{each.since} to {each.until}" if each.until else f"{each.since} and more", f"{each.share:.1%}",
         f"{each.uses:.1%}")
        for each in found.ages
    ]  # fmt: skip


def removal_rows(found: SessionValues) -> Rows:
    """Return the rows of REMOVALS."""
    return [
        (f"{each.by}, {each.share:.0%}{', whole system' if each.whole else ''}", f"{each.sessions:,}",
         f"{each.lists:,}", share(each.before), change(each.change), relation(each.relative))
        for each in found.removals
    ]  # fmt: skip


def planted_rows(found: SessionValues) -> tuple[Sequence[str], Rows]:
    """Return the header and the rows of planted sessions."""
    ks = list(dict.fromkeys(k for each in found.planted for k in each.precision))
    rows = [
        (f"{each.name}, {by}", f"{each.sessions:,}", f"{each.chance:.1%}",
         *(f"{values[k]:.0%}" if k in values else "" for k in ks))
        for each in found.planted
        for by, values in (("Shapley", each.precision), ("leave-one-out", each.by_leaving_out))
    ]  # fmt: skip
    return ("planted", "sessions", "chance", *(f"precision at {k}" for k in ks)), rows


def note(found: SessionValues) -> str:
    """Return what the values are, and how far they can be trusted."""
    stable = ", ".join(f"{name} {value:.2f}" for name, value in found.stable.items())
    return (
        f"Values are by {found.lists:,} lists since {found.valued_since[:10]}; of the {found.neighbours} nearest "
        f"sessions, {found.utility:.1%} hold the next item. {found.used:.0%} of the sessions were a neighbour. Rank "
        f"correlation of the values from either half of the shoppers: {stable}; of both kinds of values: "
        f"{found.agreement:.2f}."
    )


def consent_sentence(found: SessionValues) -> str:
    """Return the value of one shopper's data in a sentence."""
    own = found.consent
    return (
        f"One shopper's data are worth {change(own.mean)} on average over {own.shoppers:,} shoppers; the median is "
        f"{own.quantiles['0.5']:+.4f}, and {own.negative:.0%} have a value below 0. The tenth of the shoppers with the "
        f"highest values brings {own.top:.0%} of all value."
    )


def tables(found: SessionValues) -> list[Table]:
    """Return the tables for the terminal."""
    header, rows = planted_rows(found)
    return [
        terminal_table("Value of sessions", GROUPS, group_rows(found), f"{note(found)} {consent_sentence(found)}"),
        terminal_table("Value of sessions by age", AGES, age_rows(found)),
        terminal_table("Later lists without some sessions", REMOVALS, removal_rows(found)),
        terminal_table("Planted bad sessions among the lowest values", header, rows),
    ]


def html(found: SessionValues) -> str:
    """Return the section for the page."""
    from training.value import session_charts as charts

    header, rows = planted_rows(found)
    worst = [
        (each.session_id or "", each.began[:16], f"{each.items}", f"{each.lists:,}", f"{each.value:+.4f}")
        for each in found.candidates
    ]
    return f"""<h2>Value of sessions</h2>
<p>KNN-Shapley values: each list divides the share of its nearest sessions that hold the next item among these sessions.
{escape(note(found))} {escape(consent_sentence(found))}</p>
{html_table(GROUPS, group_rows(found))}
<figure>{charts.ages(found.ages)}</figure>
{html_table(AGES, age_rows(found))}
<h3>Later lists without some sessions</h3>
<figure>{charts.removals(found.removals)}</figure>
{html_table(REMOVALS, removal_rows(found))}
<h3>Planted bad sessions</h3>
<p>Bad sessions were planted among the real ones. The table says how many of the k sessions with the lowest values they
are.</p>
<figure>{charts.precision(found.planted)}</figure>
{html_table(header, rows)}
<h3>Candidates for removal</h3>
<p>The sessions of the lowest values: look for robots and broken trackers. <code>worst-sessions.csv</code> has the worst
1% with their shoppers.</p>
{html_table(("session", "began", "items", "lists", "value"), worst)}"""
