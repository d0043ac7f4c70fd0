"""`make demo`: a tour through ollamactl on a real systemd with a real Ollama, in a container that ends with it.

Every command is shown, run, and checked: a step that does not do what the tour says ends the tour with status 1.
"""

import subprocess
import sys
import textwrap
import time

from tests.lab.container import Container

SPEC = """\
version: 1
ollama: {binary: /usr/local/bin/ollama, models: /var/lib/ollama/models}
defaults:
  gpus: none                  # this machine has no card; see `ollamactl gpus`
  context_length: 2048
instances:
  llama3:
    port: 11434
  mistral:
    port: 11435
    restart: {policy: always, delay: 1s, tries: 10, within: 10m}
  mixed:
    port: 11436
    models: [qwen, "acme/coder:7b"]
    keep_alive: 30m
"""
QUESTION = '{{"model": "{model}", "prompt": "Why is the sky blue?", "stream": false}}'
ASK = f"curl -s http://localhost:{{port}}/api/generate -d '{QUESTION}'"


class Tour:
    """Runs commands in the container, shows them as a person would see them, and stops at the first surprise."""

    def __init__(self, machine: Container) -> None:
        self.machine = machine

    def say(self, text: str) -> None:
        """A paragraph between commands."""
        print("\n" + textwrap.fill(f"## {text}", 110), flush=True)

    def run(self, command: str, *, status: int = 0, expect: str = "", reject: str = "", shorten: int = 40) -> str:
        """One command; its output must hold `expect` and not hold `reject`."""
        print(f"\n$ {command}", flush=True)
        done = self.machine.run(f"exec 2>&1; {command}", check=False)
        output = done.stdout
        lines = output.rstrip("\n").splitlines()
        for line in lines[:shorten]:
            print(f"  {line[:200]}{' ...' if len(line) > 200 else ''}")
        if len(lines) > shorten:
            print(f"  ... and {len(lines) - shorten} lines more")
        if done.returncode != status:
            self.stop(f"it ended with status {done.returncode} instead of {status}")
        if expect and expect not in output:
            self.stop(f"its output lacks {expect!r}")
        if reject and reject in output:
            self.stop(f"its output holds {reject!r}")
        return output

    def stop(self, why: str) -> None:
        """Ends the tour where it is wrong."""
        sys.exit(f"\nThe demo failed here: {why}.\n{self.machine.journal(lines=15)}")


def main() -> int:
    """The whole tour."""
    started = time.monotonic()
    with Container.boot("sid", store=True) as machine:
        machine.write("/root/fleet.yaml", SPEC)
        tour = Tour(machine)
        tour.say("A fresh machine: a real systemd, a real Ollama, tiny random models. One file describes a fleet.")
        tour.run("systemctl --version | head -1; ollama --version 2>/dev/null; cat /root/fleet.yaml")
        first_apply(tour)
        requests(tour)
        afterwards(tour)
        tour.say("And it leaves: units, links and views go, models stay.")
        tour.run("ollamactl destroy --yes", expect="3 stopped")
        tour.run("systemctl list-units --all 'ollama*' --no-legend; ls /etc/systemd/system | grep ollama", status=1)
        tour.run("ls /var/lib/ollama/models/manifests/registry.ollama.ai/library", expect="llama3")
    print(f"\nThe tour took {time.monotonic() - started:.0f} s. Nothing is left of it but the cache (make clean).")
    return 0


def first_apply(tour: Tour) -> None:
    """check, plan, apply, verify."""
    tour.say("check reads the spec alone; plan says what apply would do, and why.")
    tour.run("cd /root && ollamactl check fleet.yaml", expect="no errors")
    tour.run("cd /root && ollamactl plan fleet.yaml", expect="3 to start")
    tour.say("apply does it, and proves that each port is answered by the right server with the right models.")
    tour.run("cd /root && ollamactl apply fleet.yaml", expect="3 of 3 servers proved")
    tour.say("verify --load has each model loaded, and says where it landed.")
    tour.run("ollamactl verify --load -v", expect="is on the CPU")


def requests(tour: Tour) -> None:
    """What everybody tries first."""
    tour.say("The first requests. (Weights are random, so is the answer.)")
    tour.run(ASK.format(port=11434, model="llama3"), expect='"done":true')
    tour.run(ASK.format(port=11435, model="mistral"), expect='"done":true')
    tour.say("A port serves its own models only: llama3 on mistral's port does not exist, and nothing can be deleted.")
    tour.run(ASK.format(port=11435, model="llama3"), expect="not found")
    tour.run('curl -s -X DELETE http://localhost:11435/api/delete -d \'{"model": "mistral"}\'', expect="read-only")
    tour.run("systemctl status --no-pager -n 3 ollama@mistral", expect="active (running)")
    tour.run("ollamactl status", expect="mixed")


def afterwards(tour: Tour) -> None:
    """Nothing to do, one change, one crash."""
    tour.say("A second apply changes nothing.")
    before = invocations(tour.machine)
    tour.run("cd /root && ollamactl apply fleet.yaml", expect="Nothing to do")
    if invocations(tour.machine) != before:
        tour.stop("a server was restarted")
    tour.say("An edited spec restarts just the instance that it concerns.")
    tour.run(
        "cd /root && sed -i 's/keep_alive: 30m/keep_alive: 1h/' fleet.yaml && ollamactl plan fleet.yaml",
        expect="keep_alive",
    )
    tour.run("cd /root && ollamactl apply fleet.yaml", expect="1 restarted")
    after = invocations(tour.machine)
    if {unit for unit in before if before[unit] != after[unit]} != {"ollama@mixed.service"}:
        tour.stop(f"the wrong servers were restarted: {before} -> {after}")
    tour.say("A killed server comes back: systemd sees to that.")
    tour.run(
        "systemctl kill -s KILL ollama@mistral && sleep 2.5 && ollamactl status mistral", expect="active (running)"
    )


def invocations(machine: Container) -> dict[str, str]:
    """Each server's InvocationID: it changes with every start."""
    units = [f"ollama@{name}.service" for name in ("llama3", "mistral", "mixed")]
    shown = machine.run(["systemctl", "show", "--property=InvocationID", "--value", *units]).stdout.split()
    return dict(zip(units, shown, strict=True))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.TimeoutExpired as slow:
        sys.exit(f"The demo failed: {slow}")
