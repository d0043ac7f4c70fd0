"""Who answers on a port, with what: evidence gathered, and judged."""
