"""Which model serves, and how another one takes over."""
