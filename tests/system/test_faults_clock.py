"""The clock went back: every file, process and generation is from a time to come, and what is done is still right.

A container shares the kernel's clock, so it is ollamactl's own that goes back: systemd asks for no time of day.
"""

from __future__ import annotations

from tests.system.faults import CHANGED, serving, untouched
from tests.system.fleethost import SPEC, FleetHost, Ran, edited
from tests.system.recorded import FLEET, generations

__all__ = ["serving"]
YESTERDAY = """
import sys, time
sys.path.insert(0, "/opt/ollamactl-src")
now, local = time.time, time.localtime
time.time = lambda: now() - 86400
time.localtime = lambda at=None: local(time.time() if at is None else at)
from ollamactl.cli import main
main()
"""
FILE = "/etc/extra.env"


def yesterday(host: FleetHost, *args: str) -> Ran:
    """ollamactl, for which it is a day earlier."""
    host.machine.write("/root/yesterday.py", YESTERDAY)
    return host.finished(host.machine.popen(["/usr/bin/python3", "/root/yesterday.py", *args, "--output", "json"]))


def test_a_clock_that_was_set_back_restarts_nobody_and_generations_keep_their_order(serving: FleetHost) -> None:
    with untouched(serving):
        again = yesterday(serving, "apply", serving.spec(FLEET))
        told = [yesterday(serving, command).code for command in ("status", "verify", "history")]
    assert (again.code, again.changed, again.steps, told) == (0, False, [], [0, 0, 0])

    done = yesterday(serving, "apply", serving.spec(CHANGED))
    rows = generations(serving)

    assert (done.code, [row["number"] for row in rows]) == (0, [1, 2])
    assert rows[0]["when"] > rows[1]["when"]
    assert serving.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "2048"
    assert serving.applied().steps == [], "with the clock right again, there is nothing to do"
    assert serving.json("rollback").code == 0
    assert serving.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "4096"


def test_what_a_clock_set_back_leaves_in_doubt_is_told(serving: FleetHost) -> None:
    """Whether a server has what is in a file now shows only by their times."""
    serving.machine.write(FILE, "MOOD=good\n")
    serving.applied(edited(FLEET, "mistral: {port: 11435,", f"mistral: {{port: 11435, environment_files: [{FILE}],"))
    with untouched(serving):
        ran = yesterday(serving, "apply", SPEC)

    assert (ran.code, ran.steps) == (0, [])
    row = next(row for row in ran.envelope["problems"] if FILE in row["message"])
    assert row["message"] == f"{FILE} was changed at a time to come, so nobody can tell whether mistral has it"
    assert row["hint"] == f"set the clock right, then touch {FILE} and apply again"
