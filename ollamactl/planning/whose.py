"""Whose an address is where the kernel tells only root: by what the fleet's running units are installed with. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from ollamactl.model import Fleet, Instance, overlap
from ollamactl.observed import Active, Observed, PortHolder


def attributed(observed: Observed, wanted: Fleet, installed: Fleet) -> Mapping[str, PortHolder]:
    """The holders by instance of `wanted`, without those that are the instance's own server.

    A unit of ours that is up and is installed to listen on an address holds it: had another been there first, it could
    not have bound it, and would be down.
    """
    unseen = [i for i in installed.instances if _unseen(i, observed)]
    known = {instance.name for instance in installed.instances}
    untold = {i.name for i in wanted.instances if i.name not in known and _unseen(i, observed)}
    result = {}
    for name, holder in observed.holders.items():
        if holder.pid is not None:
            result[name] = holder
            continue
        owner = next((i for i in unseen if i.port == holder.port and overlap(i.host, holder.address)), None)
        if owner is None and name not in untold:
            result[name] = holder
        elif owner and owner.name != name:
            result[name] = replace(holder, unit=owner.unit)
    return result


def _unseen(instance: Instance, observed: Observed) -> bool:
    """It runs, and the caller may not look at its process."""
    running = observed.running.get(instance.name)
    return bool(running and running.config is None and observed.unit(instance.unit).active is Active.ACTIVE)
