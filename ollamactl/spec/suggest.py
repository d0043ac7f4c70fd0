"""The word that was probably meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache


def nearest(word: str, candidates: Iterable[str]) -> str:
    """The candidate most like a mistyped word, or an empty string."""
    known = {candidate.lower(): candidate for candidate in candidates}
    typed = word.lower().replace("-", "_")[:64]
    for spelling in (typed, word.lower()):
        if spelling in known:
            return known[spelling]
    if close := get_close_matches(typed, known, n=1, cutoff=0.7):
        return known[close[0]]
    starting = [key for key in known if len(typed) > 2 and (key.startswith(typed) or typed.startswith(key))]
    return known[min(starting, key=len)] if starting else ""


def hint(word: str, candidates: Iterable[str]) -> str:
    """`did you mean X?`, or an empty string."""
    found = nearest(word, candidates)
    return f"did you mean {found}?" if found else ""


@lru_cache(maxsize=4096)
def resembles(word: str, key: str) -> bool:
    """Whether a word is a key, holds it, or was probably meant to be it: `secret`, `my_secrets` and `secert` are."""
    typed, stem = word.lower(), key.rstrip("s")
    if stem in typed:
        return True
    alike = abs(len(typed) - len(key)) < 3 and len(set(typed) & set(key)) > 3  # the matcher alone takes its time
    return alike and SequenceMatcher(None, typed, key).ratio() > 0.75
