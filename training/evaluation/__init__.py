"""Progressive evaluation: compares the whole system with simpler recommenders, on a shop's log."""
