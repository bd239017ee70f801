"""HTTP service of a worker: lists on request, made in the same batches as the lists of events.

A request passes `app.py` (admission, sizes, timeouts, errors), `routes.py` and `handlers.py` (the routes), `owners.py`
(the shopper's profile), `maker.py` (batches of requests) and `lists.py` (the lists, in the scorer's thread).
"""
