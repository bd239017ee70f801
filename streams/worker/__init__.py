"""The worker: life cycle, message paths and workarounds for Faust."""
