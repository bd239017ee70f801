"""Other architectures and losses of the sequence model, compared with the shipped ones."""
