"""The edge: each module reads or changes one side of the machine."""
