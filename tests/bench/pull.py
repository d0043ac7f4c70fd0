"""How fast a pull is beside `ollama pull` of the same from the same registry, and the memory that ollamactl takes.

`make bench` runs it; both in one container, in turns, each into an empty store of its own. The registry sends what a
gigabit carries, or, for the row without a limit, all that it can from memory: there only the start of a unit counts.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from tests.system.depot import REGISTRY, Depot, depot

SIZE = 500_000_000
PARTS = 5
"""Ollama fetches them side by side (server/download.go)."""
ROUNDS = 3
MOST_TIME, MOST_MEMORY = 1.1, 30
_SPEC = """\
version: 1
ollama: {{models: {store}}}
pull: {{insecure: "{registry}"}}
instances: {{}}
"""
_WATCH = """
import json, subprocess, sys, time
found, process = {}, subprocess.Popen(sys.argv[1:])
while process.poll() is None:
    for line in open(f"/proc/{process.pid}/status"):
        name, _, value = line.partition(":")
        if name in ("RssAnon", "VmHWM"):
            found[name] = max(found.get(name, 0), int(value.split()[0]))
    time.sleep(0.05)
print(json.dumps(found))
sys.exit(process.returncode)
"""


def by_hand(host: Depot, model: str) -> float:
    """Seconds that `ollama pull` takes, with the start of the server that it needs."""
    store = "/var/bench-hand"
    host.machine.run(f"rm -rf {store}; mkdir {store}")
    variables = f"-E HOME=/root -E OLLAMA_MODELS={store} -E OLLAMA_HOST=127.0.0.1:11998"
    started = time.monotonic()
    host.machine.run(f"systemd-run --quiet --unit=bench-hand {variables} ollama serve")
    host.wait_for_port(11998)
    host.machine.run(f"OLLAMA_HOST=127.0.0.1:11998 ollama pull --insecure {model}")
    seconds = time.monotonic() - started
    host.machine.run(f"systemctl stop bench-hand; rm -rf {store}")
    return seconds


def by_ollamactl(host: Depot, model: str) -> tuple[float, dict[str, int]]:
    """Seconds that `ollamactl pull` takes, and its peaks of memory in KB: pages of its own, and all."""
    store = "/var/bench-ours"
    host.machine.run(f"rm -rf {store}; mkdir {store}")
    host.machine.write("/etc/ollamactl/fleet.yaml", _SPEC.format(store=store, registry=REGISTRY))
    started = time.monotonic()
    done = host.machine.run(["python3", "-c", _WATCH, "ollamactl", "pull", "-q", model])
    seconds = time.monotonic() - started
    host.machine.run(f"rm -rf {store}")
    return seconds, json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Prints the rows; 1 where a promise is broken."""
    missed = 0
    with depot() as host:
        model = host.heavy("bench", SIZE)
        for what, rate, most in (("1 Gbit/s", 125_000_000 // PARTS, MOST_TIME), ("no limit", 0, 0)):
            host.order(**({"rate": rate} if rate else {}))
            rounds = [(by_hand(host, model), *by_ollamactl(host, model)) for _ in range(ROUNDS)]
            hand, ours = statistics.median(row[0] for row in rounds), statistics.median(row[1] for row in rounds)
            own, whole = (max(row[2][key] for row in rounds) / 1024 for key in ("RssAnon", "VmHWM"))
            mark = "  MISSED" if most and ours / hand > most else ""
            missed += bool(mark)
            limit = f"{most:7.2f}" if most else " " * 7
            row = (
                f"{f'pull of 500 MB, {what}':<46} {ours * 1000:7.0f}ms {hand * 1000:7.0f}ms {ours / hand:6.2f} {limit}"
            )
            print(f"{row}{mark}  (ollama pull)", flush=True)
    mark = "" if own <= MOST_MEMORY else "  MISSED"
    missed += bool(mark)
    print(f"{'peak memory of its own in a pull':<46} {own:7.0f}MB {'':>9} {'':>6} {MOST_MEMORY:5d}MB{mark}")
    print(f"{'  with libraries that all programs share':<46} {whole:7.0f}MB")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
