"""What the templates of the service that heals and of its timer are filled with."""

from ollamactl.facts import Facts
from ollamactl.model import HEAL_SERVICE, HEAL_TIMER, TARGET, WILDCARDS, Fleet, Health
from ollamactl.quantity import format_duration
from ollamactl.units import unitfile

_HOMES = ("/home/", "/root/", "/run/user/")
_LOOPBACK = ("127.0.0.1", "::1")


def context(fleet: Fleet, health: Health, facts: Facts) -> dict[str, object]:
    """Every name that the two templates use."""
    hosts = {instance.host for instance in fleet.instances if instance.host not in (*WILDCARDS, *_LOOPBACK)}
    return {
        "service": HEAL_SERVICE,
        "timer": HEAL_TIMER,
        "target": TARGET,
        "program": unitfile.escape_exec_path(facts.program),
        "at_home": facts.program.startswith(_HOMES),
        "every": format_duration(health.every),
        # A server is asked at the address that it listens on, and answers from there
        "addresses": " ".join((*_LOOPBACK, *sorted(hosts))),
        "enters": any(instance.gated for instance in fleet.instances),
    }
