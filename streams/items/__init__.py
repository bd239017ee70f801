"""The live catalogue and item statistics, as every worker sees them."""
