"""Data assets: what streams, fields and tables exist, and a profile of their content. No I/O but in `topic`."""
