"""Offline training of the sequence model: predicts the next items from a shopper's newest actions."""
