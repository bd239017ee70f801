"""Shopper profiles: their layout, their codec, and the kernels that fold events into them."""
