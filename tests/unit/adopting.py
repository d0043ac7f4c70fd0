"""A server made by hand, and what adopt makes of it."""

from collections.abc import Sequence

from ollamactl.adoption import write
from ollamactl.adoption.adopted import adopt, named
from ollamactl.adoption.entry import Adopted, Left
from ollamactl.doctor import environ
from ollamactl.doctor.environ import EnvironmentFile
from ollamactl.doctor.server import Place, Process, Server, Settings
from ollamactl.model import Fleet
from ollamactl.observed import Active, UnitState
from ollamactl.spec import specfile

UNIT = "/etc/systemd/system/ollama.service"
DROP_IN = f"{UNIT}.d/override.conf"
TEXT = """\
[Unit]
Description=Ollama Service
After=network-online.target

[Service]
ExecStart=/usr/local/bin/ollama serve
User=ollama
Restart=always
RestartSec=3
Environment="PATH=/usr/bin:/bin"
MemoryMax=24G
ProtectSystem=full
ExecStartPre=/bin/echo secret

[Install]
WantedBy=default.target
"""


def server(
    assignments: Sequence[str] = (),
    *,
    texts: dict[str, str] | None = None,
    files: Sequence[EnvironmentFile] = (),
    unit: str = "ollama.service",
    settings: Settings | None = None,
    process: Process | None = None,
) -> Server:
    """One whose manager tells these variables."""
    texts = {UNIT: TEXT} if texts is None else texts
    usual = Settings(
        files=tuple(texts), enabled=True, argv=("/usr/local/bin/ollama", "serve"), restart="always", restart_delay=3.0
    )
    return Server(
        state=UnitState(name=unit, active=Active.ACTIVE, main_pid=7),
        settings=settings or usual,
        environment=environ.assemble(("LANG=C", "EDITOR=vi"), assignments, texts, files, ()),
        environment_files=tuple(files),
        texts=texts,
        process=process or Process(),
        models=Place(path="/usr/share/ollama/.ollama/models"),
    )


def text_of(*servers: Server, models: Sequence[str] = ("llama3:latest", "qwen:latest"), secrets: bool = False) -> str:
    """The whole spec."""
    taken: set[str] = set()
    found = [adopt(each, models, name=named(each, models, taken), cards=2, secrets=secrets) for each in servers]
    return write.spec(found, servers).text


def fleet_of(
    *servers: Server, models: Sequence[str] = ("llama3:latest", "qwen:latest"), secrets: bool = False
) -> Fleet:
    """What the spec says when it is read again."""
    return specfile.load(text_of(*servers, models=models, secrets=secrets).encode(), name="fleet.yaml").fleet


def left(found: Adopted) -> dict[str, Left]:
    """What was not carried over."""
    return {each.what: each for each in found.left}
