"""The learning loop: gathers examples from the stream, refits the ranker, and publishes it if it is better."""
