"""Makes model bundles. The only package that uses torch."""
