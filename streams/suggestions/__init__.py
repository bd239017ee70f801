"""Query suggestions of a worker: built at intervals in a separate process, and kept in memory."""
