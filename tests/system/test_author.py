"""Who owns the store, or writes the spec, without being root: root's apply gives him nothing that he has not."""

from __future__ import annotations

import json

import pytest

from tests.lab.container import Container, end
from tests.system.fleethost import STATE, FleetHost
from tests.system.inside import attempt

STORE = "/srv/store"
LIBRARY = f"{STORE}/manifests/registry.ollama.ai/library"
FLEET = f"""
    version: 1
    ollama: {{binary: /usr/local/bin/ollama-standin, models: {STORE}}}
    instances:
      one: {{port: 11501, models: llama3, gpus: none}}
"""
PRIVATE = "/root/private"

EXCHANGE = f"""
import itertools, os
count = itertools.count()
def put(one, other):
    try:
        os.rename(one, other)
    except OSError:  # ollamactl made the folder that was away
        os.rename(other, f"/srv/store/aside{{next(count)}}")
        os.rename(one, other)
pairs = [("{LIBRARY}/llama3/latest", "/srv/store/evil"), ("{STORE}/blobs", "/srv/store/evils")]
while True:
    for one, other in pairs:
        put(one, "/srv/store/spare")
        put(other, one)
        put("/srv/store/spare", other)
"""
"""What ada runs while root applies: the manifest and the folder of blobs are links to root's, and are not, in turns."""

WATCH = """
import glob, os
secret, rounds, seen = b"hun" + b"ter2", 0, set()
places = ["/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"]
places += ["/var/lib/ollamactl/**", "/etc/systemd/system/**", "/run/lock/*"]
while True:
    for path in (each for place in places for each in glob.glob(place, recursive=True, include_hidden=True)):
        try:
            with open(path, "rb") as file:
                if secret in file.read():
                    seen.add(path)
        except OSError:
            pass
    rounds += 1
    with open("/tmp/rounds.new", "w") as file:
        file.write("\\n".join([str(rounds), *seen]))
    os.rename("/tmp/rounds.new", "/tmp/rounds")
"""


@pytest.fixture
def store(host: FleetHost) -> FleetHost:
    """A machine whose store is ada's, and something of root's that looks like a manifest."""
    machine = host.machine
    machine.run(f"useradd --create-home ada && cp -r /var/lib/ollama/models {STORE} && mkdir -m 700 {PRIVATE}")
    manifest = json.loads(machine.read(f"{LIBRARY}/llama3/latest"))
    machine.write(f"{PRIVATE}/notes", json.dumps({**manifest, "hunter2": 1}))
    machine.run(f"ln -s {PRIVATE}/notes {STORE}/evil && ln -s {PRIVATE} {STORE}/evils && chown -hR ada: {STORE}")
    return host


def copied(machine: Container) -> str:
    """The files of ollamactl's that have got what is root's."""
    return machine.run(f"grep -rl hunter2 {STATE} /etc/systemd/system /run/lock", check=False).stdout


def test_a_folder_of_the_store_that_leads_to_roots_files_is_refused(store: FleetHost) -> None:
    exchange = f"cd {STORE} && rm -r blobs && mv evils blobs && mv evil {LIBRARY}/llama3/latest"
    store.machine.run(exchange, user="ada")

    refused = store.apply(FLEET)

    assert (refused.code, refused.changed) == (1, False)
    link = f"{STORE}/blobs is a link that its owner, not root, made to {PRIVATE}, which is not theirs"
    assert refused.errors == [f"{STORE}/blobs: {link}"]
    assert copied(store.machine) == ""
    assert store.machine.run(["ls", STATE], check=False).stdout == ""


@pytest.mark.parametrize("folder", ["blobs", "manifests"])
def test_no_pull_follows_a_link_of_the_store_s_owner(store: FleetHost, folder: str) -> None:
    spec = store.spec(FLEET)
    store.machine.run(f"cd {STORE} && rm -r {folder} && ln -s {PRIVATE} {folder}", user="ada")

    refused = store.json("pull", spec)

    link = f"{STORE}/{folder} is a link that its owner, not root, made to {PRIVATE}, which is not theirs"
    assert (refused.code, refused.changed) == (1, False)
    assert link in json.dumps(refused.envelope)
    assert store.machine.run(["ls", "-A", PRIVATE]).stdout == "notes\n"


def test_one_that_root_made_leads_where_it_shall(store: FleetHost) -> None:
    store.machine.run(f"mv {STORE}/blobs /srv/blobs && ln -s /srv/blobs {STORE}/blobs")

    store.applied(FLEET)

    assert store.models(11501) == ["llama3:latest"]


def test_links_exchanged_while_root_applies_bring_nothing_of_roots(store: FleetHost) -> None:
    racer = store.machine.popen(["python3", "-c", EXCHANGE], user="ada")
    codes = []
    try:
        for number in range(12):
            codes.append(store.apply(FLEET.replace("gpus: none", f"gpus: none, context_length: {512 + number}")).code)
            assert copied(store.machine) == ""
    finally:
        end(racer)
    assert racer.returncode == -9, "it ran to the end"
    assert set(codes) <= {0, 1}


def test_who_can_change_the_spec_is_named_where_it_hands_on_roots_variables(store: FleetHost) -> None:
    machine = store.machine
    machine.write("/root/creds.env", "TOKEN=hunter2\n", mode=0o600)
    spec = store.spec(
        FLEET.replace("gpus: none", "gpus: none, environment_files: /root/creds.env"), "/home/ada/fleet.yaml"
    )
    machine.run(["chown", "ada:", spec])
    told = "ada can change the spec, and so the program that gets this file, which others may not read"

    assert told in store.json("plan", spec).notes
    kept = store.spec(machine.read(spec), "/etc/ollamactl/fleet.yaml")
    assert told not in store.json("plan", kept).notes


def test_who_can_change_the_spec_is_told_nothing_of_roots_files_by_a_modelfile(store: FleetHost) -> None:
    machine = store.machine
    machine.write(f"{PRIVATE}/token", "hunter2 is the password\n")
    machine.write("/srv/Modelfile", f"FROM llama3\nADAPTER {PRIVATE}/token\n")
    machine.run(["mkfifo", "/srv/pipe"])
    custom = f"""custom:
      leak: {{modelfile: {PRIVATE}/token}}
      more: {{modelfile: /srv/Modelfile}}
      pipe: {{modelfile: /srv/pipe}}
    instances:"""
    spec = store.spec(FLEET.replace("instances:", custom), "/home/ada/fleet.yaml")
    machine.run(["chown", "ada:", spec])

    for command in ("plan", "apply"):
        ran = store.json(command, spec)
        assert "hunter2" not in json.dumps(ran.envelope) + ran.stderr
        assert json.dumps(ran.envelope).count("others may not read it, and ada can change the spec") >= 1
    assert machine.run(["grep", "-rl", "hunter2", STORE], check=False).stdout.split() == []
    kept = store.spec(machine.read(spec), "/etc/ollamactl/fleet.yaml")
    assert "line 1: 'hunter2' is none of FROM" in json.dumps(store.json("plan", kept).envelope)


def test_what_a_server_leaves_in_its_home_leads_destroy_nowhere(store: FleetHost) -> None:
    machine = store.machine
    machine.run("mkdir -m 777 /srv/precious && touch /srv/precious/file")
    store.applied(FLEET)
    home = "/var/lib/ollamactl-instances/one"
    for name, target in (("link", "/srv/precious"), ("up", "/etc"), (".ollama-models", STORE)):
        assert attempt(store, 11501, "link", path=f"{home}/{name}", data=target).errno == ""

    store.machine.ollamactl("destroy", "--yes")

    assert machine.exists("/srv/precious/file")
    assert machine.exists(f"{STORE}/blobs")
    assert not machine.exists("/var/lib/private/ollamactl-instances")


def test_no_other_user_ever_sees_a_secret_while_changes_are_made(store: FleetHost) -> None:
    """As fast as it goes: every command line, every environment and every file that ada may read."""
    store.machine.write("/run/watch.py", WATCH)
    watcher = store.machine.popen(["python3", "/run/watch.py"], user="ada")
    try:
        store.wait_for(lambda: store.machine.exists("/tmp/rounds"))
        for number in range(3):
            store.applied(FLEET.replace("gpus: none", f"gpus: none, secrets: {{TOKEN: hunter2-{number}}}"))
        store.machine.ollamactl("rollback", "1")
        assert store.environ(11501)["TOKEN"] == "hunter2-0"
    finally:
        end(watcher)
    rounds, _, seen = store.machine.read("/tmp/rounds").partition("\n")

    assert (int(rounds) > 20, seen) == (True, "")
