"""A sound server and a sound host, for tests that change one thing about them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ollamactl.doctor import judge
from ollamactl.doctor.environ import Environment, Given
from ollamactl.doctor.finding import Finding
from ollamactl.doctor.host import Host
from ollamactl.doctor.server import Node, Place, Process, Server, Settings
from ollamactl.facts import Gpu, Vendor
from ollamactl.observed import Active, UnitState

BINARY = "/usr/local/bin/ollama"
STORE = "/var/lib/ollama/models"
UNIT_FILE = "/etc/systemd/system/ollama.service"
H100 = Gpu(
    vendor=Vendor.NVIDIA, index=0, pci="0000:18:00.0", uuid="GPU-9221d5d1", name="H100", memory=80 << 30, minor=1
)
RTX = replace(H100, index=1, pci="0000:c1:00.0", uuid="GPU-0c2f6a51", name="RTX", memory=16 << 30, minor=0)
MI100 = Gpu(
    vendor=Vendor.AMD, index=0, pci="0000:23:00.0", uuid="GPU-6c62a3758b84fd47", memory=32 << 30, nodes=("226:128",)
)
UVM = Node(path="/dev/nvidia-uvm", uid=0, gid=0, mode=0o666, group="root")
KFD = Node(path="/dev/kfd", uid=0, gid=44, mode=0o660, group="render")
UP = UnitState(
    name="ollama.service", load_state="loaded", active=Active.ACTIVE, sub_state="running", main_pid=7, path="/unit"
)
SOUND = Settings(files=(UNIT_FILE,), enabled=True, argv=(BINARY, "serve"))


def place(path: str, *, mode: int = 0o755, uid: int = 0, there: bool = True) -> Place:
    """A folder below a root that everybody may pass."""
    root = Node(path="/", uid=0, gid=0, mode=0o755)
    last = Node(path=path, uid=uid, gid=uid, mode=mode)
    return Place(path=path, way=(root, last) if there else (root,))


def environment(variables: Mapping[str, str | None] = {}, *, where: str = UNIT_FILE) -> Environment:
    """What a sound server has, with some changed; None takes one out."""
    usual = {"HOME": "/srv/ollama", "OLLAMA_NOPRUNE": "1", "OLLAMA_CONTEXT_LENGTH": "8192"}
    return Environment(given={n: Given(v, where) for n, v in {**usual, **variables}.items() if v is not None})


def server(variables: Mapping[str, str | None] = {}, **changes: Any) -> Server:
    """A server without any trap, but for the changes; those of its settings stand in `settings`."""
    settings = changes.pop("settings", {})
    name = changes.pop("unit", UP.name)
    sound = Server(
        state=replace(UP, name=name),
        settings=replace(SOUND, **settings),
        environment=environment(variables),
        process=Process(same_binary=True, listens=(("127.0.0.1", 11434),)),
        seconds=3600.0,
        uid=0,
        gids=(0,),
        home=f"/srv/{name}",
        models=place(STORE),
    )
    return replace(sound, **changes)


def found(*servers: Server, **host: Any) -> tuple[Finding, ...]:
    """All findings on a host with these servers."""
    return judge.findings(Host(servers=servers, **host))


def traps(*servers: Server, **host: Any) -> list[str]:
    """Their ids."""
    return [str(finding.trap) for finding in found(*servers, **host)]


def only(*servers: Server, **host: Any) -> Finding:
    """The one finding that there is."""
    (finding,) = found(*servers, **host)
    return finding
