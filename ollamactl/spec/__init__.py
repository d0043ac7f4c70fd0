"""A spec's text, read and judged: YAML, schema, values, rules; every mistake with its place."""
