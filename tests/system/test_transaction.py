"""An apply reaches the new state with proof, or leaves the old fleet serving."""

from __future__ import annotations

from tests.system.fleethost import SPEC, STANDIN, STATE, UNITS, FleetHost, drop_in, edited
from tests.system.recorded import BROKEN, FLEET, NAMES, generations, listing, shown


def test_a_change_that_fails_its_proof_is_rolled_back_and_both_stories_are_told(host: FleetHost) -> None:
    host.applied(FLEET)
    before, started = listing(host), host.invocations("mistral")

    ran = host.apply(BROKEN)

    assert (ran.code, ran.changed) == (1, True)
    assert "unit" in ran.failed_checks("llama3")
    back = ran.envelope["data"]["rollback"]
    assert back["ok"]
    assert {(proof["instance"], proof["ok"]) for proof in back["proofs"]} == {("llama3", True)}
    assert listing(host) == before
    assert host.invocations("mistral") == started
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    assert [row["result"] for row in generations(host)] == ["done", "rolled back"]
    failed = [proof for proof in shown(host, 2)["proofs"] if not proof["ok"]]
    assert [proof["instance"] for proof in failed] == ["llama3"]
    assert host.json("plan", SPEC, "--exit-code").code == 3  # the spec still says what failed
    assert host.applied(FLEET).steps == []


def test_what_was_before_comes_back_though_its_program_is_gone(host: FleetHost) -> None:
    """Its servers cannot start any more, but nothing of the change that failed is left."""
    old = "/opt/old"
    host.machine.run(["cp", STANDIN, old])
    host.applied(FLEET.replace(STANDIN, old))
    before = listing(host)
    host.machine.run(["rm", old])

    ran = host.apply(BROKEN)

    assert (ran.code, ran.envelope["data"]["rollback"]["ok"]) == (1, False)
    assert listing(host) == before


def test_a_person_reads_what_failed_and_that_it_was_taken_back(host: FleetHost) -> None:
    host.applied(FLEET)
    host.spec(BROKEN)

    text = host.machine.ollamactl("apply", SPEC, check=False).stdout

    assert "FAIL  llama3" in text
    assert "Rolled back: everything is as it was before; 1 of 1 server proved again." in text
    assert text.splitlines()[-1] == "The spec still says what failed: mend it before the next apply."
    assert "shows the state now" not in text


def test_a_first_apply_that_fails_leaves_nothing(host: FleetHost) -> None:
    before = listing(host)

    ran = host.apply(BROKEN)

    assert (ran.code, ran.envelope["data"]["rollback"]["ok"]) == (1, True)
    assert listing(host) == before
    assert host.json("status").code == 2  # no fleet is installed here
    assert [path for path in host.files("/var/lib/ollamactl") if "generations" not in path] == []


def test_keep_going_leaves_the_new_state(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.apply(BROKEN, "--keep-going")

    assert (ran.code, "rollback" in ran.envelope["data"]) == (1, False)
    assert "STANDIN_EXIT" in host.machine.read(drop_in("llama3"))
    host.wait_for(lambda: host.states(*NAMES) == {"llama3": "failed", "mistral": "active"})
    assert [row["result"] for row in generations(host)] == ["done", "failed"]


def test_a_server_that_the_change_did_not_touch_makes_nothing_roll_back(host: FleetHost) -> None:
    host.applied(FLEET)
    host.misbehave(11435, STANDIN_HANG="1")

    ran = host.apply(edited(FLEET, "11434, context_length: 4096", "11434, context_length: 2048"), "--timeout", "3s")

    assert (ran.code, "rollback" in ran.envelope["data"]) == (1, False)
    assert list(ran.failed_checks("mistral")) == ["http"]
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "2048"


def test_a_canary_that_does_not_hold_keeps_the_others_as_they_are(host: FleetHost) -> None:
    host.applied(FLEET)
    before, started = listing(host), host.invocations("mistral")
    both = BROKEN.replace("context_length: 4096", "context_length: 2048")

    ran = host.apply(both, "--canary", "llama3")

    assert ran.code == 1
    assert set(ran.proofs) == {"llama3"}
    assert "the canary llama3 did not hold, so nothing else was changed" in " ".join(ran.notes)
    assert (listing(host), host.invocations("mistral")) == (before, started)


def test_a_canary_that_holds_is_followed_by_the_rest(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.applied(FLEET.replace("context_length: 4096", "context_length: 2048"), "--canary", "llama3")

    assert {name: proof["ok"] for name, proof in ran.proofs.items()} == dict.fromkeys(NAMES, True)
    restarts = [step.split(":")[0] for step in ran.steps if step.startswith("restart")]
    assert restarts == ["restart ollama@llama3.service", "restart ollama@mistral.service"]
    assert {host.environ(port)["OLLAMA_CONTEXT_LENGTH"] for port in (11434, 11435)} == {"2048"}
    assert host.applied().steps == []


def test_a_canary_that_there_is_not_changes_nothing(host: FleetHost) -> None:
    host.applied(FLEET)
    before = listing(host)

    ran = host.apply(BROKEN, "--canary", "lama")

    assert (ran.code, ran.errors) == (2, [": there is no instance 'lama'"])
    assert listing(host) == before
    assert len(generations(host)) == 1


def test_a_second_one_that_does_not_want_to_wait_says_who_is_at_work(host: FleetHost) -> None:
    host.spec(FLEET.replace("context_length: 4096", "environment: {STANDIN_START_MS: '3000'}"))
    first = host.machine.popen(["ollamactl", "apply", SPEC, "--output", "json"])
    host.wait_for(lambda: host.machine.exists(f"{UNITS}/ollama@.service"))

    second = host.apply(None, "--no-wait")

    assert second.code == 1
    assert second.errors[0].startswith(": another ollamactl is at work: pid ")
    assert host.finished(first).code == 0


def test_a_way_back_that_fails_itself_is_told_beside_what_failed_first(host: FleetHost) -> None:
    """What a root's drop-in does to the disk as the server starts, a disk that goes bad does as well."""
    host.applied(FLEET)
    views = f"{STATE}/views"
    broken = f"[Service]\nExecStartPre=+/bin/sh -c '[ -L {views} ] || mv {views} /root/ && ln -sfn views {views}'\n"
    host.machine.write(f"{UNITS}/ollama@llama3.service.d/override.conf", broken)
    host.machine.run(["systemctl", "daemon-reload"])

    ran = host.apply(BROKEN)

    assert (ran.code, ran.changed) == (1, True)
    assert "unit" in ran.failed_checks("llama3")
    assert ran.errors[-1].startswith(f": what was changed could not be taken back: {views}: cannot list: ")
    assert ran.hints[-1].endswith("; or to the last generation that held: sudo ollamactl rollback 1")
    assert ran.envelope["data"]["rollback"]["ok"] is False
    recorded = shown(host, 2)
    assert recorded["result"] == "failed"
    assert "what was changed could not be taken back" in recorded["problems"][-1]
    assert [proof["instance"] for proof in recorded["proofs"] if not proof["ok"]] == ["llama3"]
    host.wait_for(lambda: host.states(*NAMES) == {"llama3": "failed", "mistral": "active"})
    host.machine.run(f"rm {UNITS}/ollama@llama3.service.d/override.conf {views} && mv /root/views {views}")
    host.machine.run(["systemctl", "daemon-reload"])
    assert host.json("rollback", "1").code == 0
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "4096"
    assert host.applied(FLEET).steps == []
