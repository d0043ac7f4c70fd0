"""Names, paths and addresses that have tripped somebody: each works, or is refused before anything is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.container import Container
from tests.lab.models import STORE
from tests.lab.roots import SUITES
from tests.system.fleethost import STANDIN, FleetHost
from tests.system.inside import ask, attempt, attempts, fleet_of

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("places")]

NAMES = [
    "a", "A", "a.b", "a-b", "a_b", "0", "models", "ollama", "llama3.1", "Z.y-1_q", "service", "x" * 64, "x" * 63 + "y",
    "X" * 64, "ollama-a", "ab" * 12, "con", "target.d.x",
]  # fmt: skip
REGISTRY_MODEL = "registry.example:5000/team/bot:v1"
STORES = [
    "/home/ada/.ollama/models", "/root/.ollama/models", "/usr/share/ollama/.ollama/models", "/srv/my models",
    "/srv/100%n/$HOME", "/srv/é日/m", "/srv/it's/m", "/srv/#a;b=c,d/{e}",
]  # fmt: skip
PROGRAMS = [
    "/home/ada/bin/ollama", "/root/bin/ollama", "/opt/ollama v2/bin/ollama", "/opt/%i/$HOME/ollama",
    "/opt/é日#;=,{}/ollama",
]  # fmt: skip


def prepare(machine: Container) -> None:
    """Stores and programs in odd places, with a model of a registry that has a port."""
    manifests = f"{STORE}/manifests/registry.example:5000/team/bot"
    machine.run(
        f"""set -e
        mkdir -p '{manifests}' && cp {STORE}/manifests/registry.ollama.ai/library/llama3/latest '{manifests}/v1'
        useradd --create-home ada
        """
    )
    for store in STORES:
        machine.run(["mkdir", "-p", store.rsplit("/", 1)[0]])
        machine.run(["cp", "-a", STORE, store])
    for program in PROGRAMS:
        machine.run(["mkdir", "-p", program.rsplit("/", 1)[0]])
        machine.run(["cp", STANDIN, program])


fleet = fleet_of(
    "version: 1\n"
    f"ollama: {{binary: {STANDIN}}}\n"
    "defaults: {gpus: none}\n"
    "instances:\n"
    + "".join(f'  "{name}": {{port: {11500 + number}, models: llama3}}\n' for number, name in enumerate(NAMES))
    + "".join(
        f'  program{number}: {{port: {11600 + number}, models: llama3, binary: "{path}"}}\n'
        for number, path in enumerate(PROGRAMS)
    ),
    before=prepare,
)


def test_every_name_gets_a_unit_a_home_and_a_user_of_its_own(fleet: FleetHost) -> None:
    seen = [attempt(fleet, 11500 + number, "id").data for number in range(len(NAMES))]
    homes = [fleet.environ(11500 + number)["HOME"] for number in range(len(NAMES))]

    assert len({one["uid"] for one in seen}) == len(NAMES)
    assert homes == [f"/var/lib/ollamactl-instances/{name}" for name in NAMES]
    assert [one["cgroup"].rpartition("/")[2] for one in seen] == [f"ollama@{name}.service" for name in NAMES]
    assert fleet.machine.exists(f"{STORE}/manifests"), "an instance called models took the store's place"


@pytest.mark.parametrize("number", range(len(PROGRAMS)), ids=PROGRAMS)
def test_a_program_may_lie_anywhere(fleet: FleetHost, number: int) -> None:
    pid = fleet.pid(f"program{number}")

    assert fleet.machine.run(["readlink", f"/proc/{pid}/exe"]).stdout == f"{PROGRAMS[number]}\n"


def test_a_program_below_home_opens_nothing_else_there(fleet: FleetHost) -> None:
    homes = attempts(fleet, 11600, "read", "path", ["/home/ada/.bashrc", "/home/ada/.profile", "/root/.bashrc"])

    assert set(homes.values()) <= {"ENOENT", "EACCES"}
    assert attempt(fleet, 11600, "list", path="/home/ada").data == ["bin"]


@pytest.fixture(scope="module", params=SUITES)
def stores(request: pytest.FixtureRequest) -> Iterator[FleetHost]:
    """Nothing but the machine: each test brings a store of its own into use."""
    with Container.boot(request.param, store=True) as machine:
        prepare(machine)
        yield FleetHost(machine)


@pytest.mark.parametrize("store", STORES)
def test_a_store_may_lie_anywhere(stores: FleetHost, store: str) -> None:
    applied = stores.apply(
        f"""
        version: 1
        ollama: {{models: {json.dumps(store, ensure_ascii=False)}}}
        defaults: {{gpus: none}}
        instances:
          isolated: {{port: 11434, models: [llama3, "{REGISTRY_MODEL}"]}}
          shared: {{port: 11435, models: qwen, store: shared}}
          inside: {{port: 11436, models: qwen, binary: {STANDIN}}}
        """
    )

    assert applied.code == 0, applied.envelope
    assert stores.models(11434) == ["llama3:latest", REGISTRY_MODEL]
    assert len(stores.models(11435)) == 6
    assert ask(stores, 11434, "POST", "/api/show", {"model": REGISTRY_MODEL}).status == 200
    assert stores.models(11436) == ["qwen:latest"]
    assert attempt(stores, 11436, "write", path=f"{store}/manifests/x", data="x").errno == "EROFS"
    if store.startswith(("/home", "/root")):
        assert attempt(stores, 11436, "list", path=store.removesuffix("/.ollama/models")).data == [".ollama"]


@pytest.mark.parametrize(
    ("store", "why"),
    [
        ("/srv/a:b", "'/srv/a:b' contains ':', and systemd 255 and later cannot bind such a path"),
        ('/srv/a"b', "'/srv/a\"b' contains '\"', and systemd 255 and later cannot bind such a path"),
        ("/srv/a\\b", "'/srv/a\\\\b' contains '\\\\', which Ollama takes for a pattern"),
        ("/srv/[a]", "'/srv/[a]' contains '[', which Ollama takes for a pattern"),
        ("/srv/a ", "'/srv/a ' ends with a character that Ollama strips off"),
        (
            "/var/lib/ollamactl/models",
            "/var/lib/ollamactl/models is inside /var/lib/ollamactl, which is ollamactl's own",
        ),
        ("/tmp/models", "/tmp/models cannot hold a store"),
    ],
)
def test_a_store_that_no_server_would_find_is_refused(stores: FleetHost, store: str, why: str) -> None:
    spec = f"version: 1\nollama: {{models: {json.dumps(store)}}}\ninstances: {{one: {{port: 11434, models: llama3}}}}\n"

    refused = stores.json("apply", stores.spec(spec, "/root/other.yaml"))

    assert (refused.code, refused.errors) == (78, [f"ollama.models: {why}"])


def test_what_a_user_can_change_is_never_run_as_root(stores: FleetHost) -> None:
    """`ollama --version` of Ada's would be root's `--version` of whatever she writes there."""
    program = "/home/ada/bin/mine"
    stores.machine.write(program, "#!/bin/sh\nid -un > /var/tmp/who\necho client version is 1.0\n")
    stores.machine.run(["install", "-o", "ada", "-m", "755", program, f"{program}.sh"])

    planned = stores.plan(
        f"version: 1\ninstances: {{one: {{port: 11434, models: llama3, gpus: none, binary: {program}.sh}}}}\n"
    )

    assert planned.code == 0, planned.envelope
    assert "ada can change /home/ada, and so decides what the servers run" in planned.notes
    assert stores.machine.read("/var/tmp/who") == "ada\n"


def test_a_port_whose_last_connections_linger_can_be_had_at_once(host: FleetHost) -> None:
    host.applied(f"version: 1\ninstances: {{one: {{port: 11434, models: llama3, gpus: none, binary: {STANDIN}}}}}\n")
    # Closed by the server first, a connection stays in TIME_WAIT on its port for a minute (tcp(7))
    host.machine.run(
        ["curl", "-sS", "-H", "Connection: close", *["http://127.0.0.1:11434/api/version"] * 8, "-o", "/dev/null"]
    )
    assert ":11434" in host.machine.run("ss -Hnt state time-wait '( sport = :11434 )'").stdout

    restarted = host.json("restart", "one")

    assert (restarted.code, restarted.proofs["one"]["ok"]) == (0, True)
    assert host.show("one", "NRestarts") == {"NRestarts": "0"}
