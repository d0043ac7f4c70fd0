"""The file of an instance's secrets, and a digest of them that tells whether they changed, and nothing else. Pure.

Whoever sees a plain digest, in the log of a plan, say, can try passwords until one fits. So each file has a random salt
of its own, which shows nowhere else and stays as long as the file does, and the digest is keyed with it.
"""

import hashlib
import re

from ollamactl.files import MARKER
from ollamactl.model import Instance
from ollamactl.units import unitfile

VARIABLE = "OLLAMACTL_SECRETS"
"""Salt and digest, in the file's last line: /proc/PID/environ tells which secrets a server was started with."""
_SEAL = re.compile(rf"^{VARIABLE}=(([0-9a-f]{{32}})-[0-9a-f]{{32}})$", re.MULTILINE)


def text(instance: Instance, salt: str) -> str:
    """Variables that `systemctl show` must not show; `salt` are 32 hex digits."""
    lines = [unitfile.quote_env_file(*each) for each in instance.secrets]
    head = [MARKER, f"# The secrets of {instance.name}. Changes made here are overwritten: edit the spec."]
    return "\n".join([*head, *lines, f"{VARIABLE}={salt}-{_keyed(lines, salt)}", ""])


def seal(data: bytes) -> str | None:
    """What a server started with this file has in the variable."""
    found = _SEAL.search(data.decode(errors="replace"))
    return found[1] if found else None


def salt(data: bytes) -> str:
    """The file's salt; empty where it has none."""
    found = _SEAL.search(data.decode(errors="replace"))
    return found[2] if found else ""


def digest(data: bytes) -> str:
    """Eight hex digits to tell secrets apart by, of what is in the file now; empty where it has no salt."""
    lines = [line for line in data.decode(errors="replace").splitlines() if not line.startswith(("#", f"{VARIABLE}="))]
    return _keyed(lines, found)[:8] if (found := salt(data)) else ""


def _keyed(lines: list[str], salt: str) -> str:
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16, key=bytes.fromhex(salt)).hexdigest()
