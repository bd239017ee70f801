"""Commands of `intentstream`, one module each, imported on first use."""
