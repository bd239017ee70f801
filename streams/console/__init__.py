"""The console: web pages of a worker that show what shoppers do and the lists that they get. Off by default.

`routes.py` has the pages and who may open them (`access.py`). `shop.py`, `shopper.py` and `flow.py` fill them in, and
`pages.py` renders them. `feed.py` reads events and lists from Kafka while somebody looks, and `trails.py` keeps them.
Actions of a viewer are events on Kafka like any other.
"""
