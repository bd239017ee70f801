"""Imports a shop's exports: a catalogue and a log of actions become items.jsonl and events.jsonl.

`formats.py` lists the formats, each of which is one file. `records.py` reads files, `values.py` converts prices, times
and categories, `catalogue.py` merges variants, `events.py` sorts the actions, and `run.py` connects them.
"""
