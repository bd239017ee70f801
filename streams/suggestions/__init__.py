"""Query suggestions of a worker: built at intervals in another process, kept in memory."""
