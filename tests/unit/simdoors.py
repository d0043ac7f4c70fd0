"""The ports that systemd holds for the gate, as far as a plan depends on them (simhost)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from ollamactl.observed import PortHolder


@dataclass(slots=True)
class SimDoors:
    """A socket that is stopped stays open in a gate that runs, and none is opened while it runs, but at its restart."""

    ports: dict[str, str] = field(default_factory=dict)
    """Socket -> its address."""
    in_gate: set[str] = field(default_factory=set)
    """The addresses that the gate has open, where it runs."""
    gate_is_new: bool = False
    """It has just been restarted."""

    @property
    def held(self) -> set[str]:
        """Addresses on which no server can listen."""
        return {*self.ports.values(), *self.in_gate}

    def holders(self) -> Iterator[tuple[str, PortHolder]]:
        """systemd, at each address."""
        for unit, listen in self.ports.items():
            address, _, port = listen.rpartition(":")
            yield listen, PortHolder(address=address, port=int(port), pid=1, command="systemd", unit=unit)

    def open(self, unit: str, listen: str | None, taken: Collection[str], *, gate: bool) -> None:
        """A socket is started; `gate` whether that runs."""
        assert listen, f"{unit} is started without its file"
        assert listen not in {*taken, *self.held}, f"{unit} is opened on {listen}, which is not free"
        assert self.gate_is_new or not gate, f"{unit} is opened while the gate runs"
        self.ports[unit] = listen
        if gate:
            self.in_gate.add(listen)

    def restart(self) -> None:
        """The gate lets go of what is closed."""
        self.in_gate = set(self.ports.values())
        self.gate_is_new = True
