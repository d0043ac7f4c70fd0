"""The measurements, run inside the container as root: medians of paired runs, in seconds, as JSON on stdout."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

RUNS = 5
BATCH = 32
SPEC = Path("/root/bench.yaml")
OLLAMACTL = ["/usr/bin/python3", "-m", "ollamactl"]
os.environ["PYTHONPYCACHEPREFIX"] = "/var/cache/ollamactl-pycache"  # an installed program is compiled, too
TARGET = "ollama-fleet.target"


def main(only: Sequence[str]) -> None:
    """Every measurement, or those named."""
    measurements: dict[str, Callable[[], dict[str, float]]] = {
        "help": help_text,
        "apply_strict": lambda: from_nothing(100, "strict"),
        "apply_off": lambda: from_nothing(100, "off"),
        "nothing_to_do": nothing_to_do,
        "memory": memory,
        "growth": growth,
        "store": store,
    }
    figures = {}
    for name, measure in measurements.items():
        if not only or name in only:
            started = time.monotonic()
            figures[name] = measure()
            print(f"  measured {name} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps(figures))


def timed(*commands: Sequence[str]) -> float:
    """Seconds that the commands take one after the other; they must succeed."""
    started = time.perf_counter()
    for command in commands:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)[:300]}\nended with {done.returncode}:\n{done.stdout[-3000:]}")
    return time.perf_counter() - started


def units(count: int) -> list[str]:
    """The fleet's units."""
    return [f"ollama@i{number}.service" for number in range(count)]


def write_spec(count: int, hardening: str, models: Callable[[int], str] = lambda _: "llama3", place: str = "") -> None:
    """A fleet of instantly ready stand-ins; `models` says what each serves."""
    store = f", models: {place}" if place else ""
    lines = [
        "version: 1",
        f"ollama: {{binary: /usr/local/bin/ollama-standin{store}}}",
        f"defaults: {{hardening: {hardening}, gpus: none}}",
        "instances:",
        *(f"  i{number}: {{port: {12000 + number}, models: [{models(number)}]}}" for number in range(count)),
    ]
    SPEC.write_text("\n".join(lines) + "\n")


def apply() -> float:
    """One apply as a whole process."""
    return timed([*OLLAMACTL, "apply", str(SPEC)])


def tear_down(count: int, *, files: bool) -> None:
    """Back to nothing; without `files` the unit files stay, so that systemctl can start them."""
    if files:
        timed([*OLLAMACTL, "destroy", "--yes"])
    else:
        timed(
            ["systemctl", "stop", TARGET, *units(count)],
            ["systemctl", "disable", TARGET, *units(count)],
        )
    timed(["sh", "-c", "rm -rf /var/lib/private/ollamactl-instances /var/lib/ollamactl-instances"])


def by_systemctl(count: int, *, batches: bool) -> float:
    """The same units by three calls of systemctl, or with the starts in batches as ollamactl queues them."""
    names = units(count)
    starts = [names[at : at + BATCH] for at in range(0, count, BATCH)] if batches else [names]
    return timed(
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", TARGET, *names],
        *(["systemctl", "start", *some] for some in starts),
    )


def from_nothing(count: int, hardening: str) -> dict[str, float]:
    """apply on an empty host against the better of two ways of systemctl for the same files."""
    write_spec(count, hardening)
    ours: list[float] = []
    whole: list[float] = []
    batched: list[float] = []
    for _ in range(RUNS):
        ours.append(apply())
        for floor, batches in ((whole, False), (batched, True)):
            tear_down(count, files=False)
            floor.append(by_systemctl(count, batches=batches))
        tear_down(count, files=True)
    return {"ours": median(ours), "floor": min(median(whole), median(batched))}


def nothing_to_do() -> dict[str, float]:
    """apply where the host matches, against the plainest look at the same units."""
    write_spec(100, "strict")
    apply()
    ours, floor = [], []
    for _ in range(RUNS):
        floor.append(timed(["systemctl", "show", *units(100)]))
        ours.append(apply())
    tear_down(100, files=True)
    return {"ours": median(ours), "floor": median(floor)}


def growth() -> dict[str, float]:
    """Seconds an instance of an apply from nothing: a thousand against a hundred."""
    cost: dict[int, list[float]] = {100: [], 1000: []}
    # The small ones stand on both sides of the large one: the machine's mood changes within its minute.
    for count in (100, 100, 1000, 100, 100):
        write_spec(count, "strict")
        cost[count].append(apply() / count)
        tear_down(count, files=True)
    return {"ours": median(cost[1000]), "floor": median(cost[100])}


def store() -> dict[str, float]:
    """plan of a fleet that is not there yet: each server has two models of its own, or all have the same one."""
    fleets: dict[str, tuple[int, Callable[[int], str]]] = {
        "/srv/many": (200, lambda n: f"m{2 * n}, m{2 * n + 1}"),
        "/srv/one": (1, lambda _: "m0"),
    }
    seconds: dict[str, list[float]] = {place: [] for place in fleets}
    text = Path("/var/lib/ollama/models/manifests/registry.ollama.ai/library/llama3/latest").read_text().rstrip()
    for place, (count, _) in fleets.items():
        library = Path(f"{place}/manifests/registry.ollama.ai/library")
        timed(["cp", "-a", "/var/lib/ollama/models", place], ["rm", "-r", str(library.parent)])
        for number in range(count):
            (library / f"m{number}").mkdir(parents=True)
            (library / f"m{number}/latest").write_text(" " * number + text)
    for _ in range(RUNS):
        for place, (_, models) in fleets.items():
            write_spec(100, "strict", models, place)
            seconds[place].append(timed([*OLLAMACTL, "plan", str(SPEC)]))
    return {"ours": median(seconds["/srv/many"]), "floor": median(seconds["/srv/one"])}


def help_text() -> dict[str, float]:
    """--help against the imports that it cannot do without."""
    pairs = [
        (timed([*OLLAMACTL, "--help"]), timed(["/usr/bin/python3", "-c", "import click, yaml"])) for _ in range(20)
    ]
    return {"ours": median(ours for ours, _ in pairs), "floor": median(floor for _, floor in pairs)}


def memory() -> dict[str, float]:
    """Peak resident bytes of an apply from nothing, N=100."""
    write_spec(100, "strict")
    process = subprocess.Popen([*OLLAMACTL, "apply", "-q", str(SPEC)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"apply ended with {status}")
    tear_down(100, files=True)
    return {"peak": usage.ru_maxrss * 1024.0}


if __name__ == "__main__":
    main(sys.argv[1:])
