"""The report on the value of data, which `intentstream value` writes and workers show.

`report.py` defines the file, and `sessions.py`, `costs.py`, `live.py` and `estimates.py` its parts. `training.value`
makes reports of these structs, and `file.py` reads them for the console and the metrics.
"""
