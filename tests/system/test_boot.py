"""systemd alone brings the fleet up and down: after a boot, by the target, and after the power was cut."""

from __future__ import annotations

from tests.system.fleethost import TARGET, FleetHost, drop_in, unit

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      one: {port: 11434, models: [llama3], secrets: {TOKEN: x}}
      two: {port: 11435, models: [mistral]}
      idle: {port: 11436, models: [qwen], state: stopped}
"""
UP = {"one": "active", "two": "active", "idle": "inactive"}
DOWN = dict.fromkeys(UP, "inactive")


def test_after_a_boot_the_fleet_is_up_and_right_without_ollamactl(host: FleetHost) -> None:
    host.applied(FLEET)

    host.machine.reboot()

    assert host.states(*UP) == UP
    assert (host.json("verify").code, host.json("status").code) == (0, 0)
    assert (host.models(11434), host.environ(11434)["TOKEN"]) == (["llama3:latest"], "x")
    assert host.applied().steps == []


def test_after_the_power_was_cut_the_fleet_is_up_and_right(host: FleetHost) -> None:
    host.applied(FLEET)

    host.machine.cut_power()
    host.machine.start()

    assert host.states(*UP) == UP
    assert host.json("verify").code == 0
    assert host.applied().steps == []


def test_the_target_stops_and_starts_the_whole_fleet_but_what_shall_be_stopped(host: FleetHost) -> None:
    host.applied(FLEET)

    host.machine.run(["systemctl", "stop", TARGET])
    down = host.states(*UP)
    host.machine.run(["systemctl", "start", TARGET])

    assert (down, host.states(*UP)) == (DOWN, UP)
    assert host.json("verify").code == 0


def test_restarting_the_target_restarts_every_server(host: FleetHost) -> None:
    host.applied(FLEET)
    before = host.invocations("one", "two")

    host.machine.run(["systemctl", "restart", TARGET])

    after = host.invocations("one", "two")
    assert [name for name in after if after[name] != before[name]] == ["one", "two"]
    assert host.states(*UP) == UP


def test_a_fleet_that_nobody_wants_at_boot_stays_down(host: FleetHost) -> None:
    host.applied(FLEET)
    host.machine.run(["systemctl", "disable", TARGET])

    host.machine.reboot()

    assert host.states(*UP) == DOWN
    assert host.json("status").code == 3


def test_units_can_be_handled_with_systemctl_and_journalctl_alone(host: FleetHost) -> None:
    host.applied(FLEET)

    status = host.machine.run(["systemctl", "status", unit("one")]).stdout
    cat = host.machine.run(["systemctl", "cat", unit("one")]).stdout

    assert "Ollama server one" in status
    assert f"Drop-In: {drop_in('one').rsplit('/', 1)[0]}" in status
    assert f"# {drop_in('one')}\n" in cat
    assert "Listening on 127.0.0.1:11434" in host.machine.journal(unit("one"))
    host.machine.run(["systemctl", "restart", unit("one")])
    host.wait_for_port(11434)
    assert host.applied().steps == []


def test_a_server_started_after_another_waits_for_it_at_boot(host: FleetHost) -> None:
    host.applied(FLEET.replace("models: [llama3],", "models: [llama3], after: [two],"))

    host.machine.reboot()

    started = {name: int(host.show(name, "ActiveEnterTimestampMonotonic")["ActiveEnterTimestampMonotonic"])
               for name in ("one", "two")}  # fmt: skip
    assert started["one"] > started["two"]
