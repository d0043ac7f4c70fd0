"""`make bench-ansible`: the role on one host with 20 servers, and a play that loops over them, on the same host."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.package import managed
from tests.package.managed import Played, Site
from tests.system.packaged import built

SERVERS = {f"s{number:02}": {"port": 11500 + number} for number in range(20)}
SPEC = {
    "version": 1,
    "ollama": {"binary": "/usr/local/bin/ollama-standin"},
    "defaults": {"gpus": "none", "context_length": 4096},
    "instances": {name: {**row, "models": ["llama3"]} for name, row in SERVERS.items()},
}
BY_HAND = Path(__file__).parent / "by_hand" / "site.yml"
UNDO = """systemctl disable -q --now 'ollama@s*' && systemctl stop 'ollama@*' &&
rm -rf /etc/systemd/system/ollama@* /etc/systemd/system/*.wants/ollama@* && systemctl daemon-reload"""
RUNS = 3
LIMIT = 0.15
"""A tenth where nothing else is at work: nearly all of ours is what Ansible needs for each task, as for theirs."""


def main() -> int:
    """Prints both, first run and no change, and what of ours is Ansible's own and ollamactl's."""
    with tempfile.TemporaryDirectory() as folder, managed.site(Path(folder), "one") as site:
        machine = site.hosts["one"].machine
        variables = {"ollamactl_fleet": SPEC, "ollamactl_deb": str(built(Path(folder))), "ollamactl_timeout": "60s"}
        figures = {("package", "first run"): measured(partial(play, site, variables, "site.yml"))}
        machine.run("ollamactl destroy --yes && rm -rf /var/lib/ollamactl /etc/ollamactl/fleet.yaml")
        for name, book, given, undo in (
            ("loops", str(BY_HAND), {"servers": SERVERS}, UNDO),
            ("role", "site.yml", variables, ""),
        ):
            run = partial(play, site, given, book)
            figures[name, "first run"] = measured(run)
            figures[name, "no change"] = min(measured(run) for _ in range(RUNS))
            machine.run(undo)
        figures["apply", "no change"] = measured(partial(machine.run, "ollamactl apply"))
    return told(figures)


def play(site: Site, variables: Mapping[str, object], book: str) -> Played:
    played = site.play(book, variables)
    if played.code:
        sys.exit(played.text)
    return played


def measured(run: Callable[[], object]) -> float:
    started = time.monotonic()
    run()
    return time.monotonic() - started


def told(figures: dict[tuple[str, str], float]) -> int:
    missed = 0
    for what in ("first run", "no change"):
        ours, loops = figures["role", what], figures["loops", what]
        missed += ours / loops > LIMIT
        print(f"20 servers, {what}: role {ours:5.1f} s, loops {loops:5.1f} s, ratio {ours / loops:.2f}")
    print(f"first run where the package is to be installed, too: {figures['package', 'first run']:.1f} s")
    print(f"of the no-change run, ollamactl itself: {figures['apply', 'no change']:.1f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
