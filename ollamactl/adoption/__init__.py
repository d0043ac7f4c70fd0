"""A spec of what runs on a host already: read by doctor's eyes, translated purely, each value with its origin.

`gather` reads; `variables` and `settings` translate one server's environment and directives, `adopted` puts them
together, `write` makes the text.
"""
