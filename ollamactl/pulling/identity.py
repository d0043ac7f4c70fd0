"""The key by which registries know this host: made by Ollama itself, kept by root, lent to the server that pulls.

An OpenSSH key pair, which Ollama looks for in its home and makes where there is none (cmd/cmd.go in Ollama).
"""

# ruff: noqa: PTH102
import os
from dataclasses import dataclass
from pathlib import Path

from ollamactl.errors import HostError
from ollamactl.host import atomic
from ollamactl.host.oserrors import translate

_PRIVATE, _PUBLIC = ".ollama/id_ed25519", ".ollama/id_ed25519.pub"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key in a folder, or the place for one."""

    folder: str

    @property
    def path(self) -> str:
        """Of the private half."""
        return f"{self.folder}/id_ed25519"

    def public(self) -> str:
        """The line that an account at a registry is told; empty where there is no key yet. Raises HostError."""
        try:
            return Path(f"{self.path}.pub").read_text().strip()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise translate(error, "read the key", self.folder) from error

    def lend(self, home: str) -> None:
        """Puts the key into a new HOME, behind a folder that only its owner may pass, whatever user the server has."""
        os.mkdir(home)
        os.chmod(home, 0o777)  # noqa: PTH101, S103
        if not self.public():
            return
        os.mkdir(f"{home}/.ollama")
        os.chmod(f"{home}/.ollama", 0o755)  # noqa: PTH101, S103
        halves = ((self.path, _PRIVATE), (f"{self.path}.pub", _PUBLIC))
        atomic.write([atomic.Write(f"{home}/{there}", Path(here).read_bytes(), 0o644) for here, there in halves])

    def keep(self, home: str) -> None:
        """Keeps the key that the server has made, where there was none. Raises HostError."""
        if self.public():
            return
        halves = ((_PRIVATE, self.path, 0o600), (_PUBLIC, f"{self.path}.pub", 0o644))
        try:
            # Never by a link: the home is the server's to write
            files = [atomic.Write(path, _read(f"{home}/{made}"), mode) for made, path, mode in halves]
        except OSError as error:
            raise HostError(f"the server that pulls made no key: {error.strerror}") from error
        atomic.write(files)


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read(1 << 14)
