"""HTTP service of a worker: lists on request, made in the same batches as the lists of events.

A request passes `app.py` (who may ask, sizes, times, errors), `routes.py` (what is answered), `owners.py` (whose
profile) and `maker.py` (the list, in the scorer's thread).
"""
