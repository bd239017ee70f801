"""Behaviour: item transitions, co-occurrence states and sessions."""
