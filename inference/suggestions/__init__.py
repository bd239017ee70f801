"""Query suggestions: completions of what a shopper types, and queries related to one. No I/O.

`SuggestionBuilder.build` makes an immutable `Suggestions` from a `Snapshot` of the catalogue and the learned searches.
"""
