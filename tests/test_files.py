"""What holds of every file of the project: how big it may get, and what it does not name."""

import os
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

CHECKOUT = Path(__file__).parents[1]

LONGEST = 300
LONGER: Mapping[str, str] = {}
"""File -> why it may be longer."""


@cache
def tracked() -> tuple[Path, ...]:
    """Every text file of the project."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=True).stdout
    paths = (CHECKOUT / os.fsdecode(name) for name in listed.split(b"\0") if name)
    return tuple(path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192])


def test_files_are_small_enough_to_be_read_at_once() -> None:
    too_long = {
        str(path.relative_to(CHECKOUT)): length
        for path in tracked()
        if path.suffix in (".py", ".go", ".j2") and (length := len(path.read_text().splitlines())) > LONGEST
    }
    assert too_long.keys() == LONGER.keys(), too_long


def test_nothing_names_the_machine_that_it_was_written_on() -> None:
    """The checkout's own place, and hosts that this machine fetches packages from."""
    variables = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "GOPROXY", "http_proxy", "https_proxy", "HTTP_PROXY")
    urls = [part for name in variables for part in re.split(r"[,\s|]", os.environ.get(name, "")) if "//" in part]
    hosts = {urlsplit(url).hostname for url in urls} - {None, "pypi.org", "proxy.golang.org", "localhost", "127.0.0.1"}
    private = re.compile("|".join(map(re.escape, (f"{CHECKOUT}/", *sorted(filter(None, hosts))))))
    assert not [str(path) for path in tracked() if private.search(path.read_text(errors="replace"))]
