"""A server as a program beside it sees it."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from ollamactl.model import Fleet, Instance, State, address, dial_address
from ollamactl.modelname import ModelName


def head(program: str, place: str) -> str:
    """The first lines of each file, as comments."""
    return f"# Made by `ollamactl export {program}` for {place}.\n# Make it anew when a server comes, moves or goes.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One that shall run."""

    name: str
    unit: str
    address: str
    """`127.0.0.1:11434`, `[::1]:11434`: where to reach it from this host."""
    models: tuple[str, ...]
    """What it answers to, aliases too, as Ollama lists it (`llama3:latest`)."""
    loopback: bool
    """Only this host reaches it, and no container of it."""

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://{self.address}"


def servers(fleet: Fleet) -> tuple[Server, ...]:
    """Those that shall run, by name."""
    chosen = (each for each in fleet.instances if each.state is State.RUNNING)
    return tuple(_server(each) for each in sorted(chosen, key=lambda each: each.name))


def _server(instance: Instance) -> Server:
    return Server(
        name=instance.name,
        unit=instance.unit,
        address=address(dial_address(instance.host), instance.port),
        models=tuple(_listed([*instance.models, *(alias for alias, _ in instance.aliases)])),
        loopback=ipaddress.ip_address(instance.host).is_loopback,
    )


def _listed(models: Iterable[str]) -> Iterable[str]:
    return (ModelName.parse(model).short for model in models)
