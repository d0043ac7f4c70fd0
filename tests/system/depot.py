"""A machine with a real registry in it, to push to and to pull from; nothing reaches beyond the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.lab import binaries
from tests.lab.binaries import SOURCE_IN_CONTAINER
from tests.lab.container import Container
from tests.system.fleethost import REAL, STORE, FleetHost

REGISTRY = "127.0.0.1:5000"
GATE = "127.0.0.1:5002"
"""The same registry for those whose key is known there."""
UNIT = "ollamactl-pull.service"
_HAND = "127.0.0.1:11999"
_CONFIG = """\
version: 0.1
storage: {filesystem: {rootdirectory: /srv/registry}, delete: {enabled: true}}
middleware: {storage: [{name: redirect, options: {baseurl: "http://localhost:5001/"}}]}
http: {addr: "127.0.0.1:5000"}
log: {level: warn, accesslog: {disabled: true}}
"""


class Depot(FleetHost):
    """A FleetHost with a registry; `STORE` of it holds the tiny models."""

    def start(self) -> None:
        """Bring the registry up, and what stands before it."""
        self.machine.write("/etc/registry.yaml", _CONFIG)
        self.machine.run("mkdir -p /srv/registry /srv/front")
        for unit, command in (
            ("registry", "/usr/local/bin/registry serve /etc/registry.yaml"),
            ("front", f"/usr/bin/python3 {SOURCE_IN_CONTAINER}/tests/system/front.py /srv/registry /srv/front/orders"),
        ):
            self.machine.run(f"systemd-run --quiet --unit={unit} {command}")
        for port in (5000, 5001, 5002):
            self.wait_for_port(port)

    def portal(self) -> None:
        """Bring up what else may stand before a registry (tests/system/portal.py), with an authority of its own.

        The registry is called `registry.test` for them: what has a loopback address for a name Go asks no proxy for.
        """
        self.machine.run(
            "echo 127.0.0.1 registry.test >>/etc/hosts; mkdir -p /etc/ours /srv/portal; cd /etc/ours; "
            "new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'; "
            "openssl req -x509 $new -keyout ca.key -out ca.pem -subj /CN=ours; "
            "openssl req $new -keyout key -out asked -subj /CN=registry.test -addext subjectAltName=DNS:registry.test; "
            "openssl x509 -req -in asked -CA ca.pem -CAkey ca.key -days 2 -copy_extensions copy -out cert; "
            "cat key cert >/srv/portal/tls.pem; chmod 644 ca.pem"
        )
        program = f"{SOURCE_IN_CONTAINER}/tests/system/portal.py"
        self.machine.run(f"systemd-run -q --unit=portal python3 {program} /srv/portal/orders /srv/portal/tls.pem")
        for port in (5003, 5004, 5005, 5006):
            self.wait_for_port(port)

    def push(self, source: str, name: str, tag: str = "latest") -> str:
        """Push a model of the store as `library/NAME:TAG` by a server of root's; returns what it is called for pulls.

        The store is as before, whatever it has under that name.
        """
        target, place = f"{REGISTRY}/library/{name}:{tag}", f"{STORE}/manifests/{REGISTRY}/library/{name}/{tag}"
        self.machine.run(f"if test -e {place}; then mv {place} /tmp/kept; fi")
        with self.by_hand():
            for path, body in (("copy", {"source": source, "destination": target}), ("push", {"model": target})):
                answer = self.api(path, {**body, "insecure": True, "stream": False})
                assert "error" not in answer, answer
        kept = f"if test -e /tmp/kept; then mv /tmp/kept {place}; fi"
        self.machine.run(f"rm {place}; {kept}; find {STORE}/manifests -type d -empty -delete")
        return target

    def heavy(self, name: str, size: int) -> str:
        """Push a model of so many random bytes, which no runner would load, and forget it; returns its name."""
        place = f"{STORE}/manifests/registry.ollama.ai/library/{name}"
        script = f"""set -e; cd {STORE}/blobs; mkdir -p {place}
            head -c {size} /dev/urandom >/tmp/layer; echo '{{}}' >/tmp/config
            for part in layer config; do
                digest=$(sha256sum </tmp/$part | cut -c-64); mv /tmp/$part sha256-$digest; echo $digest
            done"""
        layer, config = self.machine.run(script).stdout.split()
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": _entry("application/vnd.docker.container.image.v1+json", config, 3),
            "layers": [_entry("application/vnd.ollama.image.model", layer, size)],
        }
        self.machine.write(f"{place}/latest", json.dumps(manifest))
        target = self.push(name, name)
        self.machine.run(f"rm -r {place}; cd {STORE}/blobs; rm sha256-{layer} sha256-{config}")
        return target

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """A server of root's on the store."""
        variables = f"-E HOME=/root -E OLLAMA_NOPRUNE=1 -E OLLAMA_MODELS={STORE} -E OLLAMA_HOST={_HAND}"
        self.machine.run(f"systemd-run --quiet --unit=by-hand {variables} {REAL} serve")
        self.wait_for_port(11999)
        try:
            yield
        finally:
            self.machine.run("systemctl stop by-hand")

    def api(self, path: str, body: dict[str, Any]) -> Any:
        """What the server of root's answers."""
        command = ["curl", "-sS", f"http://{_HAND}/api/{path}", "-d", json.dumps(body)]
        return json.loads(self.machine.run(command).stdout or "{}")

    def order(self, **how: int) -> None:
        """Have the file server behave so from now on."""
        self.machine.write("/srv/front/orders", json.dumps(how))

    def mood(self, **how: int | str) -> None:
        """Have the portal behave so from now on."""
        self.machine.write("/srv/portal/orders", json.dumps(how))

    def proxied(self) -> list[str]:
        """What the proxy was asked for since this was called before."""
        path = "/srv/portal/proxied"
        return self.machine.run(f"touch {path}; cat {path}; : >{path}").stdout.splitlines()

    def asked(self) -> list[tuple[int, int]]:
        """The ranges that the file server was asked for since this was called before."""
        path = "/srv/front/asked"
        lines = self.machine.run(f"touch {path}; cat {path}; : >{path}").stdout.split()
        return [(int(begin), int(end)) for begin, _, end in (line.partition("-") for line in lines)]

    def digest(self, model: str) -> str | None:
        """Of a model in the store; None where it is not there."""
        for place in self.json("models").envelope["data"]["stores"]:
            for version in place["models"]:
                if place["path"] == STORE and version["name"] == model and version["stored"]:
                    return str(version["digest"])
        return None


def _entry(kind: str, digest: str, size: int) -> dict[str, str | int]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}


@contextmanager
def depot(suite: str = "bookworm") -> Iterator[Depot]:
    """A machine with the tiny models and a registry."""
    with Container.boot(suite, store=True, extra_layers=[binaries.registry().ensure()]) as machine:
        host = Depot(machine)
        host.start()
        yield host
