"""The unit in which a pull's server runs: what systemd-run is told of it. Pure.

It is hardened as `ollama@.service` is (a test compares the two), with two differences: the network is open, and it has
a folder to write to. That is no part of the store, which it can only read.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

UNIT = "ollamactl-pull.service"
_USER = "ollamactl-pull"

MODELS = "/run/ollamactl-pull/models"
"""Where the server sees the folder that it pulls into."""
BLOBS = "/run/ollamactl-pull/blobs"
"""Where it sees the blobs of the store, read-only."""
_HOME = "/run/ollamactl-pull/home"
_ASKING = "/run/ollamactl-pull/asking.py"
_PROGRAM = "/run/ollamactl-pull/bin/ollama"
_LIBRARIES = "/run/ollamactl-pull/lib/ollama"
_HIDDEN = ("/home", "/root", "/run", "/tmp", "/var/tmp")  # noqa: S108  names of what the unit does not see

_SCRIPT = (
    'exec 3<&0; { cat <&3; sleep 2; kill $$; } & { "$@" 3<&- </dev/null; echo; } & exec "$0" serve 3<&- </dev/null >&2'
)
"""Standard input is a pipe that ollamactl holds open: it ends with ollamactl, whatever ends that, and the server too.

Two seconds later, in which Ollama writes down how far each part has come, since its client has gone. Standard output is
a pipe to ollamactl, for the program that asks how large models are; an empty line ends what that has to say.
"""

COMMON = (
    "KillMode=control-group",
    "TimeoutStartSec=1min",
    "TimeoutStopSec=10s",
    "SyslogIdentifier=ollamactl-pull",
    "UMask=0022",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "NoNewPrivileges=yes",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "RestrictRealtime=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged",
    "SystemCallFilter=~io_uring_setup io_uring_enter io_uring_register",
    "SystemCallErrorNumber=EPERM",
)
SYSTEM = (
    "DynamicUser=yes",
    f"User={_USER}",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateMounts=yes",
    "TemporaryFileSystem=/run:ro",
    "BindReadOnlyPaths=-/run/systemd/resolve/resolv.conf -/run/systemd/resolve/stub-resolv.conf",
    "BindReadOnlyPaths=-/run/NetworkManager -/run/resolvconf -/run/connman",
    "BindReadOnlyPaths=-/run/systemd/journal",
    "TemporaryFileSystem=/dev/shm:mode=1777,nosuid,nodev,size=50%",
    "PrivateIPC=yes",
    "RemoveIPC=yes",
    "InaccessiblePaths=-/var/lib/ollamactl",
    "PrivateDevices=yes",
    "DevicePolicy=closed",
    "CapabilityBoundingSet=",
    "PrivateUsers=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "ProcSubset=all",
    "KeyringMode=private",
)
"""What a user's own manager cannot do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Names in a folder that only the caller may enter, so that no path of the spec has to be spelled for systemd."""

    folder: str

    @property
    def life(self) -> str:
        """A pipe that ends with ollamactl."""
        return f"{self.folder}/life"

    @property
    def said(self) -> str:
        """A pipe from the program that asks how large models are."""
        return f"{self.folder}/said"

    @property
    def asking(self) -> str:
        """That program."""
        return f"{self.folder}/asking.py"

    @property
    def environment(self) -> str:
        """A file of variables."""
        return f"{self.folder}/environment"

    @property
    def models(self) -> str:
        """A link to the folder that is pulled into."""
        return f"{self.folder}/models"

    @property
    def blobs(self) -> str:
        """A link to the blobs of the store."""
        return f"{self.folder}/blobs"

    @property
    def home(self) -> str:
        """A folder with the key, where there is one."""
        return f"{self.folder}/home"

    @property
    def temporary(self) -> str:
        """HOME in a user's own manager, where there is no key."""
        return f"{self.folder}/nowhere"

    @property
    def program(self) -> str:
        """A link to the program, where the unit would not see it."""
        return f"{self.folder}/program"

    @property
    def libraries(self) -> str:
        """A link to the libraries of that."""
        return f"{self.folder}/libraries"


def hidden(binary: str) -> bool:
    """Whether a program lies where the system's unit does not see it."""
    return any(binary.startswith(f"{folder}/") for folder in _HIDDEN)


def libraries(binary: str) -> str:
    """Where Ollama looks for its runners."""
    return f"{binary.rsplit('/', 2)[0]}/lib/ollama"


def home(places: Places, *, user: bool, key: bool) -> str:
    """HOME of the server: without a key that stays it makes one for this time, in its own /tmp."""
    if key:
        return places.home if user else _HOME
    return places.temporary if user else "/tmp"  # noqa: S108  a /tmp of the unit's own


def command(
    places: Places, binary: str, *, user: bool, key: bool, python: str = "", asked: Sequence[tuple[str, str]] = ()
) -> list[str]:
    """The words of systemd-run.

    `asked` are names of models, each with the URL of its manifest, for which a Python of the system's is to ask.
    """
    manager = ["--user"] if user else []
    words = ["systemd-run", *manager, "--quiet", "--collect", f"--unit={UNIT}", "--service-type=exec"]
    words += ["--description=Pull models for the Ollama fleet"]
    seen = _PROGRAM if hidden(binary) and not user else binary
    properties = _properties(places, binary, user=user, key=key)
    # The manager puts variables in the place of $NAME, and one $ in that of two (systemd.service(5), Command lines)
    script = ["/bin/sh", "-c", _SCRIPT, seen]
    if python and asked:
        script += [python, "-ISB", places.asking if user else _ASKING, json.dumps(asked)]
    return [*words, *(f"--property={each}" for each in properties), *(each.replace("$", "$$") for each in script)]


def _properties(places: Places, binary: str, *, user: bool, key: bool) -> Iterator[str]:
    yield from COMMON
    yield f"StandardInput=file:{places.life}"
    yield f"StandardOutput=file:{places.said}"
    yield "StandardError=journal"
    yield f"EnvironmentFile={places.environment}"
    if user:
        return
    yield from SYSTEM
    yield f"BindPaths={places.models}:{MODELS}"
    yield f"BindReadOnlyPaths={places.blobs}:{BLOBS} {places.asking}:{_ASKING}"
    if key:
        yield f"BindPaths={places.home}:{_HOME}"
    if hidden(binary):
        yield f"BindReadOnlyPaths={places.program}:{_PROGRAM} -{places.libraries}:{_LIBRARIES}"
