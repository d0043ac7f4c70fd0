"""The last of a fleet: what is left of it when its units, links and files are gone."""

# ruff: noqa: PTH106, PTH108, PTH112, PTH114
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress

from ollamactl.facts import Layout
from ollamactl.host.oserrors import translate


def clear(layout: Layout, folders: Iterable[str], real: Callable[[str], str]) -> None:
    """Removes the servers' homes, what heal and the gate remember, and folders of ours where they are empty.

    `real` puts a path below the root. The lock stays: it lies below /run, which no boot keeps, and removing it would
    let two in that wait for it.
    Raises NotPermitted or HostError.
    """
    parent, name = os.path.split(layout.instance_state)
    # The last is where DynamicUser= puts them
    places = [layout.run_dir, layout.instance_state, f"{parent}/private/{name}"]
    folder, gate = os.path.split(layout.gate_state)
    places += [layout.gate_state, f"{folder}/private/{gate}"]
    if layout.user:  # before systemd 254 a user's StateDirectory= lay beside the units (systemd.exec(5))
        places.append(f"{layout.unit_dir.removesuffix('/systemd/user')}/{name}")
    for path in map(real, places):
        try:
            if path.endswith(f"/{gate}") and os.path.islink(path):
                os.unlink(path)
            elif os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
        except OSError as error:
            raise translate(error, "remove", path) from error
    for folder in (*folders, layout.views, layout.secrets, layout.metrics, layout.state_dir):
        with suppress(OSError):
            os.rmdir(real(folder))
