"""The user that an instance's server runs as: one of its own, made and dropped by systemd (DynamicUser=)."""

import hashlib
import re

_VALID = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


def user_name(instance: str) -> str:
    """The User= of an instance; without it DynamicUser= gives all instances of a template one and the same uid.

    `ollama-NAME` where systemd takes that as a user's name (systemd.exec(5), DynamicUser=: at most 31 of `a-z0-9_-`),
    else `ollama_` and 96 bits of the name's SHA-256. The seventh character tells the two apart, so they cannot collide.
    """
    name = f"ollama-{instance}"
    if _VALID.fullmatch(name):
        return name
    return f"ollama_{hashlib.sha256(instance.encode()).hexdigest()[:24]}"
