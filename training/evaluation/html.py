"""The frame of the HTML pages: one file that needs no network, light or dark like the reader's system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --line: #8a8f9855; --soft: #8a8f9822; --ours: #d9822b; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
       color: light-dark(#1c2430, #e3e7ed); background: light-dark(#fff, #161b22); }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
p.verdict { font-size: 1.1rem; font-weight: 600; margin: .5rem 0 .8rem }
p.lead { margin: .2rem 0 } .scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { padding: .22rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left }
tr.ours td, tr.marked td { background: var(--soft) }
tr.group th { text-align: left; font-weight: normal; padding-top: .9rem }
td.best { font-weight: 700 } td small { opacity: .7 }
figure { margin: 1.2rem 0 } figure svg { width: 100%; height: auto } figcaption { font-weight: 600 }
details { margin-top: 1rem } code { font-size: 12px }
"""


def document(title: str, body: str) -> str:
    """Return a page with a heading. `title` is text, `body` is HTML."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
{body}
</body>
</html>
"""


def table_of(header: Sequence[str], body: Sequence[str]) -> str:
    """Return a table of header cells, as text, and rows, as HTML."""
    cells = "".join(f"<th>{escape(name)}</th>" for name in header)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells, as text."""
    return table_of(header, ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows])
