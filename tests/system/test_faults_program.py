"""The program under running servers goes, breaks, or is replaced: told before anything is changed."""

from __future__ import annotations

import pytest

from tests.system.faults import CHANGED, broken, serving, untouched
from tests.system.fleethost import REAL, STANDIN, FleetHost, unit
from tests.system.recorded import FLEET, NAMES

__all__ = ["serving"]
BACK = f"mv {STANDIN}.away {STANDIN}"
COPY = f"cp -a {STANDIN} {STANDIN}.new; mv {STANDIN} {STANDIN}.away"
PATCH = f"printf '\\267\\000' | dd of={STANDIN}.new bs=1 seek=18 conv=notrunc 2>/dev/null"
"""e_machine of elf(5) becomes EM_AARCH64."""
INSTALL = "install Ollama from https://ollama.com/download, or set `ollama.binary` to where it is"


@pytest.mark.parametrize(
    ("how", "mend", "says", "hint"),
    [
        pytest.param(
            f"mv {STANDIN} {STANDIN}.away", BACK, "there is no such file",
            f"Ollama is at {REAL}: write `binary: {REAL}` below `ollama:`", id="missing",
        ),
        pytest.param(
            f"chmod a-x {STANDIN}", f"chmod a+x {STANDIN}", "the servers' own users may not run it",
            f"`sudo chmod a+rx {STANDIN}`", id="not executable",
        ),
        pytest.param(
            f"{COPY}; {PATCH}; mv {STANDIN}.new {STANDIN}", BACK, "is no program for this machine (x86_64)", INSTALL,
            id="wrong architecture",
        ),
        pytest.param(
            f"{COPY}; printf '#!/bin/sh\\necho hello\\n' >{STANDIN}.new; mv {STANDIN}.new {STANDIN}", BACK,
            f"is not Ollama: `{STANDIN} --version` names no version of it", INSTALL, id="another program",
        ),
    ],
)  # fmt: skip
def test_a_program_that_cannot_serve_is_told_and_nothing_is_changed(
    serving: FleetHost, how: str, mend: str, says: str, hint: str
) -> None:
    with untouched(serving), broken(serving, how, mend):
        ran = serving.apply(CHANGED)

    assert (ran.code, ran.changed) == (1, False)
    assert (ran.errors, ran.hints) == ([f"{STANDIN}: {says}"], [hint])


def test_a_program_replaced_under_running_servers_is_named_and_a_restart_offered(serving: FleetHost) -> None:
    """By another version: it serves on from the old one until somebody restarts it."""
    replace = f"{COPY}; echo 0.35.1 >{STANDIN}.version; mv {STANDIN}.new {STANDIN}"
    serving.applied(FLEET)
    with untouched(serving), broken(serving, replace, f"{BACK}; rm {STANDIN}.version"):
        verified, plan = serving.json("verify"), serving.plan(FLEET)

    wrong = verified.failed_checks("llama3")["version"]
    assert verified.code == 3
    assert ("0.34.0" in wrong["found"], "0.35.1" in wrong["expected"]) == (True, True)
    assert "sudo ollamactl restart llama3" in wrong["hint"]
    why = f"{STANDIN} was replaced since it started"
    assert plan.steps == [f"restart {unit(name)}: {why}" for name in NAMES]
