"""What runs long to be run often: a small share with every `make test`, all of it with `make soak`."""

import os


def amount(what: str, share: int) -> int:
    """How many of something to try: what the variable says that `make soak` sets, else the share of `make test`."""
    return int(os.environ.get(f"SOAK_{what}", share))
