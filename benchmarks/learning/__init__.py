"""The learning loop on a simulated shop and on a shop's past events."""
