"""The value of data: what each source, feature, event type, field, attribute and day of history adds to the lists.

`study.py` holds the data and replays a shop with less of them (`variants.py`, `lists.py`). `runner.py` runs such
replays in processes and keeps each result. A section of the report is made from results:

- A section is a class with the methods of `sections.Section`: `to_json`, `sentence`, `tables` for the terminal and
  `html` for the page. Its data are a frozen `msgspec.Struct` in `streams.value`, and a field of `Sections` there,
  because workers read the report.
- Its module has a function that takes a `sections.RunContext` (the study, the runner, the options and the progress
  display) and returns the section, or None if the log has no data for it.
- A row in `SECTIONS` in `sections.py` names both. `--only NAME` chooses it, `value.json` contains it as
  `sections.NAME`, and the page and the terminal show it after the others.

The sections are `losses.py` (single assets, listed in `assets.py`), `cost_section.py`, `session_section.py`,
`live_section.py` and `overlap.py`.
"""
