"""Learning to rank: labelled lists of candidates in, a ranker's graph out. Needs the extra `train`."""
