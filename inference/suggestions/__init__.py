"""Query suggestions: completions of what a shopper types, and queries related to one. No I/O.

`SuggestionBuilder.build` makes an immutable `Suggestions` from a copy of the catalogue and of the learned searches.
"""
