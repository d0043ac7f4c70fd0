"""What a spec no longer names goes, and only that; destroy leaves the host as it was before the first apply."""

from __future__ import annotations

from tests.system.fleethost import SPEC, STATE, TARGET, UNITS, FleetHost, drop_in, edited, unit

TWO = "  two: {port: 11435, models: [mistral], secrets: {TOKEN: x}}\n"
FLEET = f"""
version: 1
ollama: {{binary: /usr/local/bin/ollama-standin}}
defaults: {{gpus: none}}
instances:
  one: {{port: 11434, models: [llama3]}}
{TWO}"""
ONE = edited(FLEET, TWO, "")
WANTS = f"{UNITS}/{TARGET}.wants"


def test_an_instance_that_left_the_spec_is_stopped_and_removed_and_nothing_else(host: FleetHost) -> None:
    host.applied(ONE)
    alone = host.files(UNITS, f"{STATE}/views", f"{STATE}/secrets")
    host.applied(FLEET)
    started = host.invocations("one")

    ran = host.applied(ONE)

    gone = "no longer in the spec"
    assert ran.steps == [
        f"stop {unit('two')}: {gone}",
        f"disable {unit('two')}: {gone}",
        f"remove {drop_in('two')}: {gone}",
        f"remove {STATE}/secrets/two.env: {gone}",
        f"remove {STATE}/views/two/README: {gone}",
        f"remove {STATE}/views/two/registry.ollama.ai/library/mistral/latest: {gone}",
        "reload systemd: 1 file removed, 1 link changed",
    ]
    after = host.files(UNITS, f"{STATE}/views", f"{STATE}/secrets")
    assert after == alone
    assert (host.invocations("one"), host.listening(11435)) == (started, False)
    loaded = host.machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "ollama@*"]).stdout
    assert [line.split()[0] for line in loaded.splitlines()] == [unit("one")]
    assert host.applied().steps == []


def test_a_failed_instance_that_left_the_spec_leaves_no_failed_unit_behind(host: FleetHost) -> None:
    crashing = edited(TWO, "secrets: {TOKEN: x}", 'environment: {STANDIN_EXIT: "1"}, restart: {policy: never}')
    assert host.apply(edited(FLEET, TWO, crashing), "--keep-going").code == 1
    assert host.states("two") == {"two": "failed"}

    host.applied(ONE)

    assert host.machine.run(["systemctl", "--failed", "--plain", "--no-legend"]).stdout == ""


def test_a_failed_instance_that_shall_be_stopped_is_no_longer_failed(host: FleetHost) -> None:
    crashing = edited(TWO, "secrets: {TOKEN: x}", 'environment: {STANDIN_EXIT: "1"}, restart: {policy: never}')
    assert host.apply(edited(FLEET, TWO, crashing), "--keep-going").code == 1

    host.applied(edited(FLEET, "two: {", "two: {state: stopped, "))

    assert host.states("two") == {"two": "inactive"}
    assert host.json("status").code == 0
    assert host.applied().steps == []


def test_another_spec_takes_the_fleets_place_only_when_that_was_asked_for(host: FleetHost) -> None:
    host.applied(FLEET)
    started, before = host.invocations("one", "two"), host.files()
    other = host.spec(edited(ONE, "one: {port: 11434", "other: {port: 11440"), "/home/other.yaml")

    refused = host.json("apply", other)

    assert (refused.code, refused.changed) == (1, False)
    assert refused.errors == [f": the installed fleet comes from {SPEC}; applying {other} would remove one and two"]
    assert f"sudo ollamactl apply --replace {other}" in refused.hints[0]
    assert (host.invocations("one", "two"), host.files()) == (started, before)
    assert host.json("plan", other, user="nobody").errors == refused.errors
    assert host.json("apply", "--replace", other).code == 0
    assert host.states("one", "two", "other") == {"one": "inactive", "two": "inactive", "other": "active"}


def test_a_spec_that_moved_is_told_and_touches_no_server(host: FleetHost) -> None:
    host.applied(FLEET)
    started, before = host.invocations("one", "two"), host.files()
    host.machine.run(["mv", SPEC, "/home/fleet.yaml"])

    ran = host.json("apply", "/home/fleet.yaml")

    why = f"the spec is now at /home/fleet.yaml, was at {SPEC}"
    assert (ran.code, ran.steps) == (0, [f"write {UNITS}/{TARGET}: {why}", "reload systemd: 1 file written"])
    assert host.invocations("one", "two") == started
    after = {path: words for path, words in host.files().items() if "/generations" not in path}
    assert [path for path, words in after.items() if before[path] != words] == [
        f"{UNITS}/{TARGET}", f"{STATE}/compiled.json",
    ]  # fmt: skip


def test_a_spec_without_instances_removes_the_whole_fleet(host: FleetHost) -> None:
    before = host.files(UNITS)
    host.applied(FLEET)

    ran = host.applied("version: 1\ninstances: {}\n")

    assert ran.changed
    assert host.files(UNITS) == before
    assert (host.listening(11434), host.listening(11435)) == (False, False)
    assert host.applied().steps == []


def test_destroy_leaves_the_host_as_it_was_before_the_first_apply_but_for_the_history(host: FleetHost) -> None:
    host.spec(FLEET)
    host.machine.write(f"{UNITS}/{unit('two')}.d/override.conf", "[Service]\nNice=3\n")
    host.machine.write(f"{UNITS}/ollama.service", "[Service]\nExecStart=/bin/true\n")
    before = host.files("/etc", "/var/lib", "/usr/local")
    host.applied()

    ran = host.json("destroy", "--yes")

    assert (ran.code, ran.changed, ran.errors) == (0, True, [])
    after = host.files("/etc", "/var/lib", "/usr/local")
    left = [path for path, words in after.items() if before.get(path) != words]
    assert {path.split("/generations")[0] for path in left} == {STATE}
    assert host.machine.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "ollama*"]).stdout == ""
    assert (host.listening(11434), host.listening(11435)) == (False, False)
    again = host.json("destroy", "--yes")
    assert (again.code, again.changed) == (0, False)


def test_destroy_asks_first_and_shows_what_would_go(host: FleetHost) -> None:
    host.applied(FLEET)
    before = (host.files(), host.invocations("one", "two"))

    dry = host.json("destroy", "--dry-run")
    unasked = host.machine.ollamactl("destroy", check=False, input="y\n")

    assert (dry.code, dry.changed) == (0, True)
    assert dry.steps[:4] == [
        f"stop {unit('one')}: destroy was asked for",
        f"stop {unit('two')}: destroy was asked for",
        f"stop {TARGET}: destroy was asked for",
        f"disable {unit('one')}: destroy was asked for",
    ]
    assert unasked.returncode == 77
    assert (
        "there is no terminal to ask at\n  hint: to do it without a question: sudo ollamactl destroy --yes"
        in unasked.stderr
    )
    assert (host.files(), host.invocations("one", "two")) == before


def test_a_stopped_instance_is_down_now_and_after_a_boot_but_keeps_its_files(host: FleetHost) -> None:
    host.applied(FLEET)
    files = list(host.files(f"{STATE}/views", f"{UNITS}/{unit('two')}.d"))

    ran = host.applied(edited(FLEET, "two: {", "two: {state: stopped, "))

    assert ran.steps == [
        f"write {drop_in('two')}: state running -> stopped",
        f"stop {unit('two')}: state: stopped",
        f"disable {unit('two')}: not to be started at boot",
        "reload systemd: 1 file written, 1 link changed",
    ]
    assert (host.states("one", "two"), list(ran.proofs)) == ({"one": "active", "two": "inactive"}, ["one"])
    assert list(host.files(f"{STATE}/views", f"{UNITS}/{unit('two')}.d")) == files
    assert host.json("status").code == 0
    host.machine.run(["systemctl", "restart", TARGET])
    assert host.states("one", "two") == {"one": "active", "two": "inactive"}

    back = host.applied(FLEET)
    assert back.steps == [
        f"write {drop_in('two')}: state stopped -> running",
        f"enable {unit('two')}: starts at boot",
        "reload systemd: 1 file written, 1 link changed",
        f"start {unit('two')}: it is not running",
    ]
    assert host.states("two") == {"two": "active"}


def test_an_instance_that_is_not_enabled_runs_but_does_not_start_at_boot(host: FleetHost) -> None:
    host.applied(FLEET)
    started = host.invocations("two")

    host.applied(edited(FLEET, "two: {", "two: {enabled: false, "))

    assert host.invocations("two") == started
    assert sorted(entry.name for entry in host.machine.path(WANTS).iterdir()) == [unit("one")]
    assert host.applied().steps == []
    host.machine.reboot()
    assert host.states("one", "two") == {"one": "active", "two": "inactive"}
