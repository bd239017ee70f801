"""Candidate sources and the catalogue that they search."""
