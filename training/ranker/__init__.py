"""Learning to rank: from labelled lists of candidates to the graph of a ranker. Needs the extra `train`."""
