"""Baselines: small recommenders that learn one interaction at a time."""
