"""The kinds of tests; each module has tests(), which yields (name, function)."""
