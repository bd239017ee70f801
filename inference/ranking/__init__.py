"""From candidates to a ranked list: features, scorer, filters, order, reasons."""
