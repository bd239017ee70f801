"""The console: web pages of a worker that show the events of shoppers and the lists that answer them. Off by default.

`routes.py` has the routes, and `access.py` decides who may open them. `shop.py`, `shopper.py`, `flow.py`, `data.py` and
`value.py` make the pages, `pages.py` renders the templates, and `words.py` translates their texts. `feed.py` reads
events and lists from Kafka while a page is open, and `histories.py` keeps the latest ones of each shopper. `backend.py`
connects the pages to the worker: it requests lists and profiles, and publishes the viewer's actions as events.
"""
