"""Items: the live catalogue, encoded catalogues and trends."""
