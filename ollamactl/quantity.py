"""Durations and sizes in systemd's own spelling (systemd.time(7), systemd.exec(5)); seconds and bytes inside."""

import math
import re

_UNITS = {
    "us": 1e-6, "usec": 1e-6, "ms": 1e-3, "msec": 1e-3,
    "": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
    "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
}  # fmt: skip
_SIZES = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SPAN = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([a-z]*)")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([BKMGT]?)(?:i?B)?")
_MAX_SECONDS = 86400.0 * 365 * 100


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `5m`, `1h30m`, `2min 5s`, a bare number of seconds, or `forever` (math.inf).

    Raises ValueError with a sentence for the user.
    """
    if text in ("forever", "infinity"):
        return math.inf
    total, at, found = 0.0, 0, False
    while at < len(text) and (match := _SPAN.match(text, at)):
        number, unit = match.groups()
        if unit not in _UNITS:
            raise ValueError(f"{unit!r} is not a unit of time")
        total, at, found = total + float(number) * _UNITS[unit], match.end(), True
    if not found or text[at:].strip():
        raise ValueError(f"{text!r} is not a duration")
    if total > _MAX_SECONDS:
        raise ValueError(f"{text!r} is more than 100 years: write forever")
    return total


def format_duration(seconds: float) -> str:
    """The shortest spelling that both systemd and Go read: `1h30m`, `90s` as `1m30s`, `500ms`, `forever`."""
    if math.isinf(seconds):
        return "forever"
    rest, parts = round(seconds * 1000), []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """Bytes of `512M`, `24G`, `1.5G`, `24GiB`, or a bare number; powers of 1024 as in systemd.

    Raises ValueError with a sentence for the user.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a size")
    return int(float(match[1]) * _SIZES[match[2]])


def format_size(size: int) -> str:
    """The shortest exact spelling: `24G`, `1536M`, `1000`."""
    for unit in ("T", "G", "M", "K"):
        if size and size % _SIZES[unit] == 0:
            return f"{size // _SIZES[unit]}{unit}"
    return str(size)


def shown_size(size: float) -> str:
    """About so much, for a person: `4.7 GB`, `640 MB`; powers of 1000, as registries and `ollama list` count."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"
    return f"{size:.0f} B"


def shown_share(done: int, total: int) -> str:
    """How much of it, for a person: `31% of 4.7 GB`."""
    return f"{100 * done // total if total else 0}% of {shown_size(total)}"
