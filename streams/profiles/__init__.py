"""What is remembered of each shopper, and where."""
