"""What somebody changed by hand is found and put right, and nothing but that is touched."""

from __future__ import annotations

import json

from tests.system.fleethost import SPEC, STATE, STORE, TARGET, TEMPLATE, UNITS, FleetHost, drop_in, unit

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      one: {port: 11434, models: [llama3], context_length: 4096, secrets: {TOKEN: x}}
      two: {port: 11435, models: [mistral]}
"""
NAMES = ("one", "two")


def repaired(host: FleetHost) -> tuple[list[str], list[str]]:
    """Plan, apply what was planned, and plan again: the steps, and who was restarted."""
    before = host.invocations(*NAMES)
    planned = host.plan(None, "--exit-code")
    assert planned.code == 3
    assert host.applied().steps == planned.steps
    assert host.plan(None, "--exit-code").steps == []
    assert host.json("status").code == 0
    now = host.invocations(*NAMES)
    return planned.steps, [name for name in NAMES if now[name] != before[name]]


def test_a_drop_in_edited_by_hand_is_put_right_and_its_server_restarted(host: FleetHost) -> None:
    """Whether the server was started before or after the edit: it may run with it, so it is not left to chance."""
    host.applied(FLEET)
    text = host.machine.read(drop_in("one"))
    host.machine.write(drop_in("one"), text.replace("OLLAMA_CONTEXT_LENGTH=4096", "OLLAMA_CONTEXT_LENGTH=2"))
    host.machine.run(f"systemctl daemon-reload && systemctl restart {unit('one')}")
    host.wait_for_port(11434)
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "2"

    steps, restarts = repaired(host)

    why = "context_length 2 -> 4096"
    assert steps == [
        f"write {drop_in('one')}: {why}", "reload systemd: 1 file written", f"restart {unit('one')}: {why}",
    ]  # fmt: skip
    assert restarts == ["one"]
    assert host.machine.read(drop_in("one")) == text
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "4096"


def test_an_edit_by_hand_that_no_server_notices_is_put_right_without_a_restart(host: FleetHost) -> None:
    host.applied(FLEET)
    text = host.machine.read(drop_in("one"))
    host.machine.write(drop_in("one"), text.replace("Restart=on-failure", "Restart=always"))

    steps, restarts = repaired(host)

    cause = "restart.policy always -> on-failure"
    assert (steps, restarts) == ([f"write {drop_in('one')}: {cause}", "reload systemd: 1 file written"], [])


def test_a_template_edited_by_hand_is_put_right_for_all(host: FleetHost) -> None:
    host.applied(FLEET)
    text = host.machine.read(TEMPLATE)
    host.machine.write(TEMPLATE, text.replace("UMask=0077", "UMask=0000"))

    steps, restarts = repaired(host)

    assert steps == [
        f"write {TEMPLATE}: UMask= changed",
        "reload systemd: 1 file written",
        f"restart {unit('one')}: UMask= changed",
        f"restart {unit('two')}: UMask= changed",
    ]
    assert (restarts, host.machine.read(TEMPLATE)) == (["one", "two"], text)


def test_secrets_edited_by_hand_are_put_right(host: FleetHost) -> None:
    host.applied(FLEET)
    path = f"{STATE}/secrets/one.env"
    host.machine.write(path, host.machine.read(path).replace("TOKEN", "OTHER"), mode=0o600)

    steps, restarts = repaired(host)

    assert steps == [f"write {path}: secrets changed", f"restart {unit('one')}: secrets were edited by hand"]
    assert restarts == ["one"]
    assert host.environ(11434)["TOKEN"] == "x"


def test_a_drop_in_deleted_by_hand_is_written_again(host: FleetHost) -> None:
    host.applied(FLEET)
    before = host.files(UNITS, f"{STATE}/views", f"{STATE}/secrets")
    host.machine.remove(f"{UNITS}/{unit('one')}.d")

    steps, restarts = repaired(host)

    assert steps == [f"write {drop_in('one')}: new", "reload systemd: 1 file written"]
    assert restarts == []
    assert set(host.files(UNITS, f"{STATE}/views", f"{STATE}/secrets")) == set(before)


def test_a_server_whose_drop_in_was_deleted_is_shown_with_the_way_back(host: FleetHost) -> None:
    host.applied(FLEET)
    theirs = f"{UNITS}/{unit('theirs')}.d/mine.conf"
    host.machine.write(theirs, "[Service]\nEnvironment=OLLAMA_HOST=127.0.0.1:12000\n")
    host.machine.run(f"systemctl daemon-reload && systemctl start {unit('theirs')}")
    assert (host.json("status").code, host.json("verify").code) == (0, 0)
    host.machine.remove(drop_in("one"))

    seen = [host.json("status", user=user) for user in ("root", "nobody")]
    verify, named = host.json("verify"), host.json("verify", "--only", "one")

    for status in seen:
        rows = {row["instance"]: row for row in status.envelope["data"]["instances"]}
        assert (status.code, {name: row["healthy"] for name, row in rows.items()}) == (3, {"one": False, "two": True})
        (failure,) = rows["one"]["failures"]
        assert failure["found"] == f"it is active (running), and its drop-in {drop_in('one')} is gone"
        assert failure["hint"].endswith(f": sudo ollamactl apply {SPEC}")
    assert [(ran.code, list(ran.proofs)) for ran in (verify, named)] == [(3, ["two", "one"]), (3, ["one"])]
    assert list(verify.failed_checks("one")) == ["drop-in"]
    host.machine.remove(drop_in("two"))
    assert [host.json(command).code for command in ("status", "verify")] == [3, 3]
    host.applied()
    assert [host.json(command).code for command in ("status", "verify")] == [0, 0]


def test_a_view_of_the_store_deleted_by_hand_is_made_again_and_seen(host: FleetHost) -> None:
    """The server holds on to the folder that was removed, so only a restart shows it the new one."""
    host.applied(FLEET)
    host.machine.remove(f"{STATE}/views/one")
    assert host.models(11434) == []

    steps, restarts = repaired(host)

    assert steps == [
        f"write {STATE}/views/one/README: new",
        f"write {STATE}/views/one/registry.ollama.ai/library/llama3/latest: new",
        f"restart {unit('one')}: its models' folder was removed under it",
    ]
    assert (restarts, host.models(11434)) == (["one"], ["llama3:latest"])


def test_units_and_links_deleted_by_hand_come_back_without_a_restart(host: FleetHost) -> None:
    host.applied(FLEET)
    before = {path: words.split()[-1] for path, words in host.files(UNITS).items()}
    for path in (TEMPLATE, f"{UNITS}/{TARGET}", f"{UNITS}/{TARGET}.wants", f"{UNITS}/{unit('one')}.d"):
        host.machine.remove(path)
    host.machine.run(["systemctl", "daemon-reload"])

    _, restarts = repaired(host)

    assert restarts == []
    assert {path: words.split()[-1] for path, words in host.files(UNITS).items()} == before


def test_files_made_readable_for_others_are_closed_again(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["chmod", "644", f"{STATE}/secrets/one.env"])

    steps, restarts = repaired(host)

    assert steps[0] == f"write {STATE}/secrets/one.env: mode 0644 -> 0600"
    assert restarts == []
    assert host.machine.path(f"{STATE}/secrets/one.env").stat().st_mode & 0o777 == 0o600


def test_a_folder_of_secrets_that_is_open_is_closed_without_a_restart(host: FleetHost) -> None:
    host.applied(FLEET)
    started = host.invocations("one", "two")
    folder = host.machine.path(f"{STATE}/secrets")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)

    ran = host.applied()

    assert ran.steps == [f"write {STATE}/secrets/one.env: its folder is open to others"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (host.invocations("one", "two"), host.applied().steps) == (started, [])


def test_an_instance_stopped_by_hand_is_started(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["systemctl", "stop", unit("one")])
    assert host.json("status").code == 3

    steps, restarts = repaired(host)

    assert steps == [f"start {unit('one')}: it is not running"]
    assert restarts == ["one"]


def test_an_instance_disabled_by_hand_is_enabled_and_not_restarted(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["systemctl", "disable", unit("one")])

    steps, restarts = repaired(host)

    assert steps == [f"enable {unit('one')}: starts at boot", "reload systemd: 1 link changed"]
    assert restarts == []


def test_a_fleet_stopped_and_disabled_by_hand_comes_back(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["systemctl", "disable", "--now", TARGET])
    assert host.states(*NAMES) == {"one": "inactive", "two": "inactive"}

    steps, restarts = repaired(host)

    assert steps == [
        f"enable {TARGET}: brings the fleet up at boot",
        "reload systemd: 1 link changed",
        f"start {unit('one')}: it is not running",
        f"start {unit('two')}: it is not running",
        f"start {TARGET}: it is not active",
    ]
    assert restarts == ["one", "two"]


def test_a_unit_that_systemd_has_not_read_since_it_changed_is_read(host: FleetHost) -> None:
    """Somebody wrote a file of ours back as it was, without a reload: the manager has old text in memory."""
    host.applied(FLEET)
    text = host.machine.read(drop_in("one"))
    host.machine.write(drop_in("one"), text.replace("Restart=on-failure", "Restart=no"))
    host.machine.run(["systemctl", "daemon-reload"])
    host.machine.run(["sleep", "0.01"])
    host.machine.write(drop_in("one"), text)
    assert host.show("one", "NeedDaemonReload", "Restart") == {"NeedDaemonReload": "yes", "Restart": "no"}

    steps, restarts = repaired(host)

    assert [step.split(":")[0] for step in steps] == ["reload systemd"]
    assert unit("one") in steps[0]
    assert restarts == []
    assert host.show("one", "Restart") == {"Restart": "on-failure"}


def test_a_hand_started_server_in_the_place_of_a_stopped_unit_is_a_stranger(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["systemctl", "stop", unit("one")])
    host.background("HOME=/root OLLAMA_HOST=127.0.0.1:11434 exec /usr/local/bin/ollama-standin serve", port=11434)

    ran = host.apply()

    assert (ran.code, ran.changed) == (1, False)
    assert "/usr/local/bin/ollama-standin serve" in ran.errors[0]
    assert host.states(*NAMES) == {"one": "inactive", "two": "active"}


def test_a_model_with_a_part_missing_is_no_proof_though_its_server_lists_it(host: FleetHost) -> None:
    host.applied(FLEET)
    manifest = json.loads(host.machine.read(f"{STORE}/manifests/registry.ollama.ai/library/mistral/latest"))
    host.machine.remove(f"{STORE}/blobs/{manifest['layers'][0]['digest'].replace(':', '-')}")

    ran = host.json("verify")

    assert (ran.code, ran.envelope["status"], ran.proofs["two"]["ok"]) == (3, "drift", True)
    assert [error for error in ran.errors if "a part of mistral" in error and "is missing" in error]
    said = host.machine.ollamactl("verify", check=False).stdout
    assert said.endswith("FAILED: 2 of 2 servers proved, but with 1 error above. What stands above says why.\n")
    assert host.json("verify", "--only", "one").code == 0
