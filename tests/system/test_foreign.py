"""What is not ollamactl's stays as it is, byte for byte, and is shown."""

from __future__ import annotations

import pytest

from tests.system.fleethost import SPEC, STATE, TARGET, TEMPLATE, UNITS, FleetHost, drop_in, unit

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      one: {port: 11434, models: [llama3]}
      two: {port: 11435, models: [mistral]}
"""
OVERRIDE = f"{UNITS}/{unit('one')}.d/override.conf"


def test_an_administrator_s_override_wins_and_is_kept_and_shown(host: FleetHost) -> None:
    host.machine.write(OVERRIDE, "[Service]\nEnvironment=OLLAMA_CONTEXT_LENGTH=1234\n")
    host.applied(FLEET)
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "1234"
    override = host.files(f"{UNITS}/{unit('one')}.d")[OVERRIDE]

    plan, second, status = host.plan(), host.applied(), host.json("status")

    assert [note for note in plan.notes if OVERRIDE in note] != []
    assert second.steps == []
    rows = {row["instance"]: row["drop_ins"] for row in status.envelope["data"]["instances"]}
    assert (status.code, rows) == (0, {"one": [OVERRIDE], "two": []})
    assert OVERRIDE in host.machine.ollamactl("status").stdout
    host.applied(FLEET.replace("models: [llama3]}", "models: [llama3], keep_alive: 1h}"))
    assert host.files(f"{UNITS}/{unit('one')}.d")[OVERRIDE] == override
    assert host.environ(11434)["OLLAMA_CONTEXT_LENGTH"] == "1234"


APPLIES = f"an administrator's drop-in applies too: {OVERRIDE}"
LATER = f"an administrator's drop-in takes effect at the next restart: {OVERRIDE}"
UNREAD = f"systemd has not read an administrator's drop-in as it is now: {OVERRIDE}"


def shown(host: FleetHost, user: str = "root") -> list[str]:
    """What status says below its table of the one drop-in, by who asks."""
    return host.machine.ollamactl("status", user=user).stdout.splitlines()[3:]


def test_an_override_that_came_later_is_in_force_after_a_reload_and_a_restart(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.write(OVERRIDE, "[Service]\nEnvironment=EXTRA=1\n")
    started = host.invocations("one", "two")
    unread = [f"one: {UNREAD}", "  hint: sudo systemctl daemon-reload && sudo ollamactl restart one"]
    later = [f"one: {LATER}", "  hint: sudo ollamactl restart one"]
    assert [shown(host), shown(host, "nobody")] == [unread, unread]

    ran = host.applied()

    assert [step.split(":")[0] for step in ran.steps] == ["reload systemd"]
    assert host.invocations("one", "two") == started
    assert (ran.notes, host.plan().notes, shown(host), shown(host, "nobody")) == ([LATER], [LATER], later, later)
    (row, _) = host.json("status").envelope["data"]["instances"]
    assert (row["drop_ins"], row["drop_ins_pending"], row["healthy"]) == ([OVERRIDE], [OVERRIDE], True)
    host.json("restart", "one")
    assert host.environ(11434)["EXTRA"] == "1"
    assert (host.plan().notes, shown(host)) == ([APPLIES], [f"one: {APPLIES}"])


def test_an_override_that_was_edited_or_removed_is_in_force_as_it_was(host: FleetHost) -> None:
    host.machine.write(OVERRIDE, "[Service]\nEnvironment=EXTRA=1\n", mode=0o600)
    host.applied(FLEET)
    assert shown(host) == [f"one: {APPLIES}"]
    host.machine.write(OVERRIDE, "[Service]\nEnvironment=EXTRA=2\n", mode=0o600)
    assert shown(host)[0] == f"one: {UNREAD}"
    host.machine.run(["systemctl", "daemon-reload"])
    assert [shown(host)[0], shown(host, "nobody")[0]] == [f"one: {LATER}", f"one: {LATER}"]

    changed = host.applied(FLEET.replace("models: [llama3]}", "models: [llama3], keep_alive: 1h}"))

    assert (changed.notes, shown(host)) == ([APPLIES], [f"one: {APPLIES}"]), "the apply has restarted it"
    host.machine.remove(OVERRIDE)
    assert shown(host)[0] == f"one: {UNREAD}"


def test_env_tells_what_the_server_has_and_where_that_differs_from_the_spec(host: FleetHost) -> None:
    host.machine.write("/etc/extra.env", "MOOD=bad\nAPI_KEY=hunter2\nPRIVATE=hunter2\n")
    more = 'environment: {MOOD: good, API_KEY: "-"}, secrets: {HF_TOKEN: hunter2}, environment_files: [/etc/extra.env]'
    host.applied(FLEET.replace("models: [llama3]}", f"models: [llama3], {more}}}"))
    plain = host.machine.ollamactl("env", "one", "--server").stdout.splitlines()
    host.machine.write(OVERRIDE, "[Service]\nEnvironment=OLLAMA_CONTEXT_LENGTH=1234 NEW='it is'\n")
    host.machine.run(["systemctl", "daemon-reload"])

    before = host.machine.ollamactl("env", "one", "--server").stdout.splitlines()
    host.json("restart", "one")
    after = host.machine.ollamactl("env", "one", "--server").stdout.splitlines()
    nobody_s = host.machine.ollamactl("env", "one", "--server", user="nobody").stdout.splitlines()
    shell = host.machine.run('set -eu; eval "$(ollamactl env one --server)"; echo "$OLLAMA_CONTEXT_LENGTH $NEW $HOME"')

    assert plain[0] == "export HOME=/var/lib/ollamactl-instances/one"
    assert [line for line in plain if line.startswith("#")] == [
        '# MOOD is "good" in the spec, and something else in the running server',
        '# API_KEY is "-" in the spec, and something else in the running server',
        "# HF_TOKEN is in secrets",
        "# more is in /etc/extra.env",
    ]
    assert "export MOOD=bad" in plain
    told = '# OLLAMA_CONTEXT_LENGTH is "8192" in the spec, and set to "1234" by an administrator\'s drop-in'
    assert {f"{told}, from the next start on", "export OLLAMA_CONTEXT_LENGTH=8192"} <= set(before)
    assert {told, "export OLLAMA_CONTEXT_LENGTH=1234", "export NEW='it is'"} <= set(after)
    assert {told, "export OLLAMA_CONTEXT_LENGTH=1234", "export MOOD=good"} <= set(nobody_s)
    assert nobody_s[-3:] == [
        f"# its secrets are in {STATE}/secrets/one.env, which only root may read",
        "# more is in /etc/extra.env",
        "# what the running server was started with shows to root only",
    ]
    assert shell.stdout == "1234 it is /var/lib/ollamactl-instances/one\n"
    assert "hunter2" not in "".join([*plain, *before, *after, *nobody_s])


def test_overrides_are_shown_before_systemd_has_loaded_a_unit_in_the_order_in_which_it_reads_them(
    host: FleetHost,
) -> None:
    name = "a-b"
    fleet = FLEET.replace("one: {", f"{name}: {{").replace("models: [mistral]}", "models: [mistral], state: stopped}")
    places = [
        f"/run/systemd/system/{unit(name)}.d/30-x.conf",
        f"{UNITS}/ollama@.service.d/30-x.conf",
        f"{UNITS}/{unit(name)}.d/20-x.conf",
        "/usr/lib/systemd/system/ollama@.service.d/40-x.conf",
        f"{UNITS}/service.d/40-x.conf",
        f"{UNITS}/service.d/05-x.conf",
        f"{UNITS}/ollama@a-.service.d/50-x.conf",
        f"{UNITS}/{unit(name)}.d/60-x.ini",
    ]
    for path in places:
        host.machine.write(path, "[Unit]\nX-Mine=1\n")

    first = host.plan(fleet).notes
    image = host.json("--root", "/srv", "plan", SPEC)
    host.machine.run("cd /srv && mkdir -p etc usr/lib/systemd && cp -a /etc/systemd etc")
    host.machine.run("cp -a /usr/lib/systemd/system /srv/usr/lib/systemd")
    below = host.json("--root", "/srv", "plan", SPEC)
    host.applied(fleet)

    read = host.show(name, "DropInPaths")["DropInPaths"].split()
    theirs = [path for path in read if path != drop_in(name)]
    assert len(theirs) == 4
    assert first[0] == f"an administrator's drop-in applies too: {', '.join(theirs)}"
    assert [note for note in image.notes if "drop-in" in note] == []
    assert f"an administrator's drop-in applies too: {', '.join(theirs)}" in below.notes
    row = host.json("status").envelope["data"]["instances"][1]
    assert (row["instance"], row["drop_ins"]) == ("two", [path for path in theirs if unit(name) not in path])


def test_an_override_that_a_reload_applies_needs_no_restart(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.write(OVERRIDE, "[Unit]\nDescription=mine\n[Service]\nMemoryMax=1G\nRestart=no\n")
    host.machine.run(["systemctl", "daemon-reload"])

    assert shown(host) == [f"one: {APPLIES}"]


def test_drop_ins_of_a_stranger_s_unit_are_none_of_ours(host: FleetHost) -> None:
    host.machine.write(f"{UNITS}/{unit('theirs')}.d/mine.conf", "[Service]\nEnvironment=OLLAMA_HOST=127.0.0.1:12000\n")
    host.applied(FLEET)
    host.machine.run(["systemctl", "start", unit("theirs")])

    assert (host.plan().notes, shown(host)) == ([], [])


@pytest.mark.parametrize("path", [TEMPLATE, f"{UNITS}/{TARGET}", drop_in("one")])
def test_a_file_of_somebody_else_in_our_place_stops_an_apply(host: FleetHost, path: str) -> None:
    host.machine.write(path, "[Unit]\nDescription=mine\n", mode=0o600)
    before, reloads = host.files(), host.reloads()

    plan, ran = host.plan(FLEET), host.apply(FLEET)

    assert (plan.code, ran.code, ran.changed) == (1, 1, False)
    assert plan.errors == ran.errors == [f"{path}: this file is not ollamactl's, so it stays as it is"]
    assert f"mv {path}" in ran.hints[0]
    assert (host.files(), host.reloads()) == (before, reloads)
    assert host.states("one", "two") == {"one": "inactive", "two": "inactive"}


def test_a_full_unit_of_an_instance_s_name_takes_the_template_s_place_and_stops_an_apply(host: FleetHost) -> None:
    path = f"{UNITS}/{unit('one')}"
    host.machine.write(path, "[Service]\nExecStart=/bin/true\n")
    before = host.files()

    ran = host.apply(FLEET)

    assert (ran.code, ran.changed, [error.split(":")[0] for error in ran.errors]) == (1, False, [path])
    assert host.files() == before


def test_a_masked_instance_stops_an_apply_with_the_way_out(host: FleetHost) -> None:
    host.machine.run(["systemctl", "mask", unit("one")])
    before = host.files()

    ran = host.apply(FLEET)

    assert (ran.code, ran.changed) == (1, False)
    assert any(f"systemctl unmask {unit('one')}" in hint for hint in ran.hints)
    assert host.files() == before


def test_a_link_in_the_place_of_a_drop_in_s_folder_is_not_written_through(host: FleetHost) -> None:
    host.machine.run(["mkdir", "/srv/elsewhere"])
    host.machine.run(["ln", "-s", "/srv/elsewhere", f"{UNITS}/{unit('one')}.d"])

    ran = host.apply(FLEET)

    assert (ran.code, ran.changed) == (1, False)
    assert f"{UNITS}/{unit('one')}.d is a symbolic link to /srv/elsewhere" in ran.errors[0]
    assert host.files("/srv/elsewhere") == {}


def test_other_units_of_the_template_s_name_are_left_alone(host: FleetHost) -> None:
    """An instance that somebody made of our template by hand is no instance of the spec, so it is none of ours."""
    host.applied(FLEET)
    theirs = f"{UNITS}/{unit('theirs')}.d/mine.conf"
    listen = "OLLAMA_HOST=127.0.0.1:12000"
    host.machine.write(theirs, f"[Service]\nEnvironment={listen} OLLAMA_MODELS=/var/lib/ollama/models\n")
    host.machine.run(f"systemctl daemon-reload && systemctl start {unit('theirs')}")
    host.wait_for_port(12000)
    started, file = host.invocations("theirs"), host.files(f"{UNITS}/{unit('theirs')}.d")

    assert host.applied().steps == []
    host.applied(FLEET.replace("      two: {port: 11435, models: [mistral]}\n", ""))

    assert (host.invocations("theirs"), host.files(f"{UNITS}/{unit('theirs')}.d")) == (started, file)


def test_destroy_keeps_what_is_not_ours(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.write(OVERRIDE, "[Service]\nNice=3\n")
    host.machine.write(f"{STATE}/notes.txt", "mine\n")
    host.machine.write(f"{UNITS}/ollama.service", "[Service]\nExecStart=/bin/true\n")
    kept = (OVERRIDE, f"{STATE}/notes.txt", f"{UNITS}/ollama.service")
    before = {path: words for path, words in host.files().items() if path in kept}

    assert host.json("destroy", "--yes").code == 0

    after = host.files()
    assert {path: words for path, words in after.items() if path in kept} == before
    assert [path for path in after if "10-ollamactl" in path or path in (TEMPLATE, f"{UNITS}/{TARGET}")] == []
