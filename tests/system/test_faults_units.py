"""Units that somebody masked or broke under a running fleet: the servers are not the ones to suffer for it."""

from __future__ import annotations

import pytest

from tests.system.faults import CHANGED, broken, serving, untouched
from tests.system.fleethost import TEMPLATE, UNITS, FleetHost, drop_in, unit
from tests.system.recorded import FLEET, NAMES, listing

__all__ = ["serving"]
OVERRIDE = f"{UNITS}/{unit('llama3')}.d/zz.conf"
RELOAD = "systemctl daemon-reload"


@pytest.mark.parametrize("runtime", ["", "--runtime "])
def test_a_unit_masked_while_it_runs_stops_an_apply_and_what_is_said_undoes_it(
    serving: FleetHost, runtime: str
) -> None:
    mask = f"systemctl mask {runtime}{unit('llama3')}"
    serving.machine.run(mask)
    with untouched(serving):
        ran = serving.apply(CHANGED)

    assert (ran.code, ran.changed) == (1, False)
    assert ran.errors == [f"{unit('llama3')}: the unit is masked, so systemd refuses to start it"]
    assert ran.hints == [f"sudo systemctl unmask {runtime}{unit('llama3')}, then the same command again"]
    serving.machine.run(ran.hints[0].partition(",")[0].removeprefix("sudo "))
    assert serving.plan(FLEET).steps == []


def test_a_drop_in_that_systemd_refuses_is_told_and_the_server_runs_on(serving: FleetHost) -> None:
    """It refuses to restart the unit, so the old process stays, and is proved once the change is taken back."""
    serving.applied(FLEET)
    before, started = listing(serving), serving.invocations("llama3")
    with broken(serving, f"printf '[Service]\\nExecStart=\\n' >{OVERRIDE}; {RELOAD}", f"rm {OVERRIDE}; {RELOAD}"):
        ran = serving.apply(CHANGED)
        assert serving.invocations("llama3") == started
        assert serving.models(11434) == ["llama3:latest"]
        assert serving.json("verify").code == 0

    assert (ran.code, ran.envelope["data"]["rollback"]["ok"]) == (1, True)
    assert "has a bad unit file setting" in ran.errors[0]
    assert ran.hints == [f"journalctl -u {unit('llama3')} -n 50"]
    assert any(OVERRIDE in note for note in ran.notes)
    assert any("Service has no ExecStart=" in line for line in ran.proofs["llama3"]["journal"])
    assert {path: words for path, words in listing(serving).items() if path != OVERRIDE} == before
    assert serving.environ(11435)["OLLAMA_CONTEXT_LENGTH"] == "4096"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        pytest.param("DynamicUser=no\\nUser=nosuch", "status=217/USER", id="user"),
        pytest.param("SupplementaryGroups=nosuch", "status=216/GROUP", id="group"),
    ],
)
def test_a_user_or_group_that_there_is_not_is_told_and_the_others_are_brought_back(
    serving: FleetHost, lines: str, says: str
) -> None:
    """Only the start shows it. What the drop-in breaks stays broken until it goes; the rest is as it was."""
    serving.applied(FLEET)
    before = listing(serving)
    with broken(serving, f"printf '[Service]\\n{lines}\\n' >{OVERRIDE}", f"rm {OVERRIDE}; {RELOAD}"):
        ran = serving.apply(CHANGED)
        left = {path: words for path, words in listing(serving).items() if path != OVERRIDE}
        assert [serving.states("mistral"), serving.models(11435)] == [{"mistral": "active"}, ["mistral:latest"]]

    assert (ran.code, left) == (1, before)
    assert ran.errors == [f"{unit('llama3')}: the unit failed to start"] * 2
    assert any(OVERRIDE in note for note in ran.notes)
    assert any(says in line for line in ran.proofs["llama3"]["journal"])
    back = {proof["instance"]: proof["ok"] for proof in ran.envelope["data"]["rollback"]["proofs"]}
    assert back == {"llama3": False, "mistral": True}
    assert serving.environ(11435)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    assert all(proof["ok"] for proof in serving.applied(FLEET).proofs.values()), "the drop-in is gone"
    assert serving.states(*NAMES) == dict.fromkeys(NAMES, "active")


@pytest.mark.parametrize("path", [TEMPLATE, f"{UNITS}/{unit('llama3')}", drop_in("llama3")])
def test_a_file_of_somebody_else_in_our_place_is_told_while_the_fleet_serves(serving: FleetHost, path: str) -> None:
    """A template, a whole unit of an instance's name, and a drop-in that lost the line that says whose it is."""
    serving.applied(FLEET)
    saved = f"if [ -e {path} ]; then mv {path} /root/saved; fi; printf '[Service]\\nExecStart=/bin/true\\n' >{path}"
    back = f"rm {path}; if [ -e /root/saved ]; then mv /root/saved {path}; fi"
    with untouched(serving), broken(serving, saved, back):
        ran = serving.apply(CHANGED)

    assert (ran.code, ran.changed, [error.partition(": ")[0] for error in ran.errors]) == (1, False, [path])
    assert ran.hints == [f"look at it, then move it away: mv {path} {path}.mine"]
