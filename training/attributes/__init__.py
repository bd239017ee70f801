"""Measures derived attributes and the detection of duplicates, and fits what they need."""
