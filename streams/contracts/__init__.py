"""The contract: messages, their bytes, and what is said of those that break it. Pure."""
