"""The Chinese demo: a general shop and its simulated shoppers."""
