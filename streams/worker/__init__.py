"""The room of Faust: a worker's life and the paths of its messages."""
