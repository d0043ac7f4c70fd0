"""Who holds a port: a stranger is named and never touched, and servers of the fleet hand ports to each other."""

from __future__ import annotations

import pytest

from tests.system.fleethost import SPEC, STANDIN, UNITS, FleetHost, edited, unit

FLEET = """
    version: 1
    ollama: {binary: /usr/local/bin/ollama-standin}
    defaults: {gpus: none}
    instances:
      one: {port: 11434, models: [llama3]}
      two: {port: 11435, models: [mistral]}
      three: {port: 11436, models: [qwen]}
"""
HTTP_SERVER = "exec python3 -m http.server --bind 127.0.0.1 11434"


def run_as_service(host: FleetHost, name: str, command: str, port: int, *environment: str) -> int:
    """A service that has nothing to do with the fleet; returns its main process."""
    settings = [f"--setenv={one}" for one in environment]
    host.machine.run(
        ["systemd-run", f"--unit={name}", "--service-type=exec", *settings, "/bin/sh", "-c", f"exec {command}"]
    )
    host.wait_for_port(port)
    return host.pid(f"{name}.service")


def test_a_stranger_on_a_port_is_named_before_anything_is_changed(host: FleetHost) -> None:
    pid = run_as_service(host, "website", "python3 -m http.server --bind 127.0.0.1 11434", 11434)
    before, reloads = host.files(), host.reloads()

    plan, ran = host.plan(FLEET), host.apply(FLEET)

    problem = (
        "instances.one.port: 127.0.0.1:11434 is taken by "
        f"pid {pid} (python3 -m http.server --bind 127.0.0.1 11434) of website.service"
    )
    assert (plan.code, plan.errors) == (1, [problem])
    assert (ran.code, ran.changed, ran.errors) == (1, False, [problem])
    assert "sudo systemctl stop website.service" in ran.hints[0]
    assert (host.files(), host.reloads()) == (before, reloads)
    assert host.pid("website.service") == pid


def test_a_program_outside_of_any_service_is_named_too(host: FleetHost) -> None:
    host.background(HTTP_SERVER, port=11434)

    ran = host.apply(FLEET)

    assert (ran.code, len(ran.errors)) == (1, 1)
    assert "(python3 -m http.server --bind 127.0.0.1 11434)" in ran.errors[0]
    assert ran.hints == ["end that program, or choose another port in the spec; ollamactl kills nothing"]


def test_an_ollama_that_somebody_else_runs_is_a_stranger_like_any(host: FleetHost) -> None:
    """It answers just as our own would, so a check by HTTP alone would be satisfied by it."""
    pid = run_as_service(host, "ollama", f"{STANDIN} serve", 11434, "HOME=/root")

    ran = host.apply(FLEET)

    assert ran.errors == [
        f"instances.one.port: 127.0.0.1:11434 is taken by pid {pid} ({STANDIN} serve) of ollama.service"
    ]
    assert "sudo systemctl disable --now ollama.service" in ran.hints[0]


@pytest.mark.parametrize("address", ["0.0.0.0:11434", "[::]:11434"])
def test_a_stranger_on_every_address_takes_the_port_of_each(host: FleetHost, address: str) -> None:
    run_as_service(host, "stranger", f"{STANDIN} serve", 11434, "HOME=/root", f"OLLAMA_HOST={address}")

    ran = host.apply(FLEET)

    assert (ran.code, [error.split(" is ")[0] for error in ran.errors]) == (1, ["instances.one.port: 127.0.0.1:11434"])


def test_the_same_port_of_another_address_is_free(host: FleetHost) -> None:
    run_as_service(host, "neighbour", f"{STANDIN} serve", 11434, "HOME=/root", "OLLAMA_HOST=127.0.0.2:11434")

    assert host.applied(FLEET).proofs["one"]["ok"]


@pytest.mark.parametrize("squatter", ["python3 -m http.server --bind 127.0.0.1 11434", f"{STANDIN} serve"])
def test_a_stranger_that_comes_first_between_plan_and_start_is_named_in_the_proof(
    host: FleetHost, squatter: str
) -> None:
    """The unit is started while the port is free; the server takes a moment to bind it, and then it is taken."""
    slow = edited(FLEET, "models: [llama3]", 'models: [llama3], environment: {STANDIN_START_MS: "3000"}')
    host.spec(slow)
    applying = host.machine.popen(["ollamactl", "apply", "--keep-going", "--output", "json", SPEC])
    host.wait_for(lambda: host.states("one") == {"one": "active"})
    pid = run_as_service(host, "squatter", squatter, 11434, "HOME=/root")

    ran = host.finished(applying)

    assert (ran.code, ran.seconds < 20) == (1, True)
    assert {name: proof["ok"] for name, proof in ran.proofs.items()} == {"one": False, "two": True, "three": True}
    assert f"pid {pid} ({squatter}) of squatter.service" in ran.failed_checks("one")["listener"]["found"]

    host.wait_for(lambda: "address already in use" in host.machine.journal(unit("one")))
    verified = host.json("verify")
    assert any("address already in use" in line for line in verified.proofs["one"]["journal"])
    assert f"pid {pid} ({squatter}) of squatter.service" in verified.failed_checks("one")["listener"]["found"]
    assert (verified.code, host.json("status").code) == (3, 3)


def test_two_instances_swap_their_ports_in_one_apply(host: FleetHost) -> None:
    host.applied(FLEET)
    started = host.invocations("one", "two", "three")

    swapped = edited(edited(edited(FLEET, "11434", "1"), "11435", "11434"), "port: 1,", "port: 11435,")
    ran = host.applied(swapped)

    assert (host.models(11434), host.models(11435)) == (["mistral:latest"], ["llama3:latest"])
    now = host.invocations("one", "two", "three")
    assert [name for name in now if now[name] != started[name]] == ["one", "two"]
    assert [step for step in ran.steps if step.startswith("stop")] == [
        f"stop {unit('one')}: frees port 11434 for two",
        f"stop {unit('two')}: frees port 11435 for one",
    ]
    assert host.applied().steps == []


def test_ports_move_along_a_chain_in_one_apply(host: FleetHost) -> None:
    host.applied(FLEET)

    host.applied(edited(edited(edited(FLEET, "11436", "11437"), "11435", "11436"), "11434", "11435"))

    assert [host.models(port) for port in (11435, 11436, 11437)] == [
        ["llama3:latest"], ["mistral:latest"], ["qwen:latest"],
    ]  # fmt: skip
    assert not host.listening(11434)


def test_a_port_passes_from_an_instance_that_leaves_to_one_that_comes(host: FleetHost) -> None:
    host.applied(FLEET)

    ran = host.applied(edited(FLEET, "one: {port: 11434, models: [llama3]}", "four: {port: 11434, models: [llama3]}"))

    assert host.states("one", "four") == {"one": "inactive", "four": "active"}
    assert ran.proofs["four"]["ok"]


def test_an_address_of_another_host_is_refused_until_it_is_this_hosts(host: FleetHost) -> None:
    there = "instances: {one: {port: 11434, models: [llama3], host: 198.51.100.7, allow: [any]}}"
    spec = f"version: 1\nollama: {{binary: {STANDIN}}}\ndefaults: {{gpus: none}}\n{there}\n"
    before = host.files()

    plan, ran = host.plan(spec), host.apply(spec)

    words = "198.51.100.7 is not an address of this host, so one cannot listen on it"
    assert (plan.code, plan.errors) == (1, [f"instances.one.host: {words}"])
    assert (ran.code, ran.changed, ran.errors) == (1, False, [f"instances.one.host: {words}"])
    assert "; 127.0.0.1 is for this host alone" in ran.hints[0]
    assert host.files() == before
    assert host.plan(spec.replace("port: 11434", "port: 11434, state: stopped")).errors == []

    host.machine.run(["ip", "address", "add", "198.51.100.7/32", "dev", "lo"])
    assert host.applied(spec).proofs["one"]["ok"]
    assert host.applied(spec).steps == []


def test_a_service_that_would_want_the_port_is_found_though_it_does_not_run(host: FleetHost) -> None:
    """By its name among the unit files, wherever it got its address from; one that only talks to a server is none."""
    units = {
        "ollama-mine": (f"ExecStart={STANDIN} serve\nEnvironment=OLLAMA_HOST=127.0.0.1:11434", True),
        "my-ollama": ("ExecStart=/bin/sh -c 'exec ollama serve'\nEnvironmentFile=/etc/default/my*", True),
        "ollama": ("ExecStart=/usr/local/bin/ollama serve", False),
        "ollama-client": (f"ExecStart={STANDIN} list\nEnvironment=OLLAMA_HOST=127.0.0.1:11434", True),
        "ollama-else": (f"ExecStart={STANDIN} serve\nEnvironment=OLLAMA_HOST=127.0.0.1:9", True),
    }
    host.machine.write("/etc/default/my-ollama", '# where\nOLLAMA_HOST="0.0.0.0:11434"\n')
    for name, (lines, enabled) in units.items():
        place = "/usr/lib/systemd/system" if name == "ollama" else UNITS
        host.machine.write(f"{place}/{name}.service", f"[Service]\n{lines}\n[Install]\nWantedBy=multi-user.target\n")
        if enabled:
            host.machine.run(["systemctl", "enable", "-q", name])

    ran = host.apply(FLEET)

    said = "is set to listen on 127.0.0.1:11434 too"
    assert sorted(ran.errors) == [
        f"instances.one.port: {name}.service {said}, and is started at boot" for name in ("my-ollama", "ollama-mine")
    ]
    assert f"ollama.service {said}, but nothing starts it" in ran.notes
    assert (ran.code, ran.changed) == (1, False)
    host.machine.run("systemctl disable -q ollama-mine my-ollama && systemctl mask -q ollama")
    assert sorted(note for note in host.applied().notes if said in note) == [
        f"{name}.service {said}, but nothing starts it" for name in ("my-ollama", "ollama-mine")
    ]
