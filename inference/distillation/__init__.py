"""Making model bundles. The only room where torch lives."""
