"""The section on sessions, for the terminal and as HTML with plots."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
from matplotlib.axes import Axes
from rich.table import Table

from streams.value.sessions import Age, Planted, Removal, SessionValues
from training.evaluation.figures import change, relation, share
from training.evaluation.html import html_table
from training.evaluation.plots import BASELINE, INK, LINES, OURS, SOURCE, changes_plot, svg_of
from training.evaluation.table import Rows, terminal_table

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
    header, rows = planted_rows(found)
    worst = [
        (each.session_id or "", each.began[:16], f"{each.items}", f"{each.lists:,}", f"{each.value:+.4f}")
        for each in found.candidates
    ]
    return f"""<h2>Value of sessions</h2>
<p>KNN-Shapley values: each list divides the share of its nearest sessions that hold the next item among these sessions.
{escape(note(found))} {escape(consent_sentence(found))}</p>
{html_table(GROUPS, group_rows(found))}
<figure>{_ages_plot(found.ages)}</figure>
{html_table(AGES, age_rows(found))}
<h3>Later lists without some sessions</h3>
<figure>{_removals_plot(found.removals)}</figure>
{html_table(REMOVALS, removal_rows(found))}
<h3>Planted bad sessions</h3>
<p>Bad sessions were planted among the real ones. The table says how many of the k sessions with the lowest values they
are.</p>
<figure>{_precision_plot(found.planted)}</figure>
{html_table(header, rows)}
<h3>Candidates for removal</h3>
<p>The sessions of the lowest values: look for robots and broken trackers. <code>worst-sessions.csv</code> has the worst
1% with their shoppers.</p>
{html_table(("session", "began", "items", "lists", "value"), worst)}"""


def _removals_plot(rows: Sequence[Removal]) -> str:
    names = [f"{each.by}, {each.share:.0%}{', whole system' if each.whole else ''}" for each in rows]
    label = "change of MRR@20 on later lists without these sessions"
    return changes_plot(names, [each.change for each in rows], label)


def _precision_plot(rows: Sequence[Planted]) -> str:
    """Return the precision among the k lowest values, for each kind of planted session."""

    def planted_precision(axes: Axes) -> None:
        for each, colour in zip(rows, LINES, strict=False):
            for shown, style, by in ((each.shown, "-", "Shapley"), (each.shown_by_leaving_out, ":", "leave-one-out")):
                k = np.linspace(1, 2 * each.sessions, len(shown))
                axes.plot(k, shown, style, color=colour, label=f"{each.name}, {by}")
            axes.axhline(each.chance, color=SOURCE, linewidth=0.8)
        axes.set_xlabel("k sessions of the lowest value")
        axes.set_ylabel("share of planted ones")
        axes.set_ylim(0, 1)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))

    return svg_of(3.6, planted_precision)


def _ages_plot(rows: Sequence[Age]) -> str:
    """Return the shares of the value and of the neighbours by age."""
    names = [f"{each.since}–{each.until}" if each.until else f"{each.since}+" for each in rows]

    def session_ages(axes: Axes) -> None:
        places = np.arange(len(rows))
        axes.bar(places - 0.2, [each.share for each in rows], 0.4, color=OURS, label="value")
        axes.bar(places + 0.2, [each.uses for each in rows], 0.4, color=BASELINE, label="neighbours")
        axes.set_xticks(places, names)
        axes.set_xlabel("age of the session in days")
        axes.set_ylabel("share")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.legend()

    return svg_of(3.2, session_ages)
