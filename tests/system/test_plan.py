"""Looking before leaping: plan, --dry-run, --diff and --only say what apply does, and change nothing themselves."""

from __future__ import annotations

import json

from tests.system.fleethost import SPEC, STANDIN, FleetHost, drop_in, edited, unit

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      one: {port: 11434, models: [llama3]}
      two: {port: 11435, models: [mistral]}
"""
EDITED = edited(FLEET, "gpus: none", "gpus: none, context_length: 4096")
WHY = "context_length 8192 -> 4096"
CHANGES = [
    f"write {drop_in('one')}: {WHY}",
    f"write {drop_in('two')}: {WHY}",
    "reload systemd: 2 files written",
    f"restart {unit('one')}: {WHY}",
    f"restart {unit('two')}: {WHY}",
]
TEXT = f"""\
~ write    {drop_in("one")}  {WHY}
~ write    {drop_in("two")}  {WHY}
  reload   systemd                                                     2 files written
~ restart  {unit("one")}                                          {WHY}
~ restart  {unit("two")}                                          {WHY}
  wait     {unit("one")}                                          until 127.0.0.1:11434 answers
  wait     {unit("two")}                                          until 127.0.0.1:11435 answers
  verify   one, two

Plan: 2 to restart, 2 files to write.
"""


def test_plan_and_dry_run_and_diff_show_and_change_nothing(host: FleetHost) -> None:
    host.applied(FLEET)
    before = (host.files(), host.reloads(), host.invocations("one", "two"))
    host.spec(EDITED)

    plan, dry_run = host.json("plan", SPEC), host.json("apply", "--dry-run", SPEC)
    shown = host.machine.ollamactl("plan", "-q", SPEC).stdout
    diff = host.machine.ollamactl("render", "--diff", "-q", SPEC).stdout

    assert (plan.code, plan.changed, plan.steps) == (0, True, CHANGES)
    assert (dry_run.code, dry_run.changed, dry_run.steps) == (0, True, CHANGES)
    assert shown == TEXT
    changed = [line for line in diff.splitlines() if line[0] in "+-" and "OLLAMACTL_CONFIG" not in line]
    record = [line for line in changed if line.startswith(("+Instance=", "-Instance="))]
    assert [line for line in changed if line not in record] == [
        f"--- a{drop_in('one')}", f"+++ b{drop_in('one')}",
        "-Environment=OLLAMA_CONTEXT_LENGTH=8192", "+Environment=OLLAMA_CONTEXT_LENGTH=4096",
        f"--- a{drop_in('two')}", f"+++ b{drop_in('two')}",
        "-Environment=OLLAMA_CONTEXT_LENGTH=8192", "+Environment=OLLAMA_CONTEXT_LENGTH=4096",
    ]  # fmt: skip
    same = host.machine.run(f"cat {SPEC} | ollamactl plan - --as {SPEC} --output json").stdout
    assert json.loads(same)["data"]["steps"] == plan.envelope["data"]["steps"], "as a spec that is about to lie there"
    assert (host.files(), host.reloads(), host.invocations("one", "two")) == before


def test_the_exit_code_of_plan_tells_drift_on_demand(host: FleetHost) -> None:
    codes = [host.plan(FLEET, "--exit-code").code, host.plan(FLEET).code]
    host.applied(FLEET)
    codes += [host.plan(FLEET, "--exit-code").code, host.plan(EDITED, "--exit-code").code]

    assert codes == [3, 0, 0, 3]


def test_apply_does_what_the_plan_said(host: FleetHost) -> None:
    planned = host.plan(FLEET)
    first = host.applied(FLEET)
    edit = host.applied(EDITED, "--diff")

    assert first.steps == planned.steps
    assert edit.steps == CHANGES
    writes = [step for step in edit.envelope["data"]["steps"] if step["step"] == "write"]
    assert [(step["before"].count("=8192"), step["after"].count("=4096")) for step in writes] == [(1, 1), (1, 1)]
    assert writes[0]["after"] == host.machine.read(drop_in("one"))


def test_nothing_to_do_is_said_in_a_word(host: FleetHost) -> None:
    host.applied(FLEET)

    assert host.machine.ollamactl("plan", "-q", SPEC).stdout == "No changes: the host matches the spec.\n"
    assert host.machine.ollamactl("apply", "-q", SPEC).stdout.splitlines()[-1] == (
        "Nothing to do; 2 of 2 servers proved."
    )
    assert host.machine.ollamactl("render", "--diff", "-q", SPEC).stdout.strip() == ""


def test_only_limits_an_apply_to_the_instances_named(host: FleetHost) -> None:
    host.applied(FLEET)
    started = host.invocations("one", "two")

    ran = host.applied(EDITED, "--only", "two")

    assert ran.steps == [CHANGES[1], "reload systemd: 1 file written", CHANGES[4]]
    assert list(ran.proofs) == ["two"]
    now = host.invocations("one", "two")
    assert (now["one"], now["two"] != started["two"]) == (started["one"], True)
    assert host.plan(None, "--exit-code").steps == [CHANGES[0], "reload systemd: 1 file written", CHANGES[3]]


def test_only_refuses_what_the_others_would_get_with_their_next_start(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["cp", "-a", STANDIN, f"{STANDIN}-2"])
    before, other = host.files(), edited(FLEET, STANDIN, f"{STANDIN}-2")

    ran = host.apply(other, "--only", "two")

    assert (ran.code, ran.changed, host.files()) == (1, False, before)
    assert ran.errors == [
        f": --only leaves out one, but all share what changes: ollama.binary {STANDIN} -> {STANDIN}-2"
    ]
    assert host.applied(other, "--canary", "two").code == 0


def test_only_starts_no_server_that_is_not_installed(host: FleetHost) -> None:
    requiring = edited(FLEET, "two: {", "two: {requires: [one], ")

    ran = host.apply(requiring, "--only", "two")

    assert (ran.code, ran.hints) == (1, ["apply without --only, or add: --only one"])
    assert sorted(host.applied(requiring, "--canary", "two").proofs) == ["one", "two"]


def test_only_brings_up_one_instance_of_a_new_fleet(host: FleetHost) -> None:
    ran = host.applied(FLEET, "--only", "two")

    assert list(ran.proofs) == ["two"]
    assert host.states("one", "two") == {"one": "inactive", "two": "active"}
    assert not host.machine.exists(drop_in("one"))
    assert host.json("status").code == 0


def test_only_an_unknown_name_is_refused(host: FleetHost) -> None:
    ran = host.apply(FLEET, "--only", "tow")

    assert (ran.code, ran.errors) == (2, [": there is no instance 'tow'"])
    assert ran.hints == ["there are: one, two"]


def test_render_prints_what_apply_installs(host: FleetHost) -> None:
    host.spec(FLEET)
    rendered = host.json("render", SPEC)
    host.applied(FLEET)

    for file in rendered.envelope["data"]["files"]:
        assert f"{host.machine.path(file['path']).stat().st_mode & 0o777:04o}" == file["mode"]
        if file["text"] is not None:
            assert host.machine.read(file["path"]) == file["text"]
    units = [file["path"] for file in rendered.envelope["data"]["files"] if file["text"] is not None]
    verified = host.machine.run(["systemd-analyze", "verify", *(path for path in units if "service.d" not in path)])
    assert (verified.stdout, verified.stderr) == ("", "")


def test_the_envelope_of_a_plan_is_all_json_values(host: FleetHost) -> None:
    plan = host.plan(FLEET, "--diff")

    assert json.loads(json.dumps(plan.envelope)) == plan.envelope
    assert sorted(plan.envelope) == ["changed", "command", "data", "ollamactl", "problems", "status"]
    assert {tuple(sorted(step)) for step in plan.envelope["data"]["steps"]} == {
        ("after", "before", "cause", "instance", "step", "subject"),
        ("cause", "instance", "step", "subject"),
    }
