"""What people would use instead: small recommenders that learn one interaction at a time."""
