"""A server in a network namespace of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{"version":"in"}'
OTHER = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
INSIDE = f"""
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
while True:
    client, _ = server.accept()
    asked = client.recv(4096)
    client.sendall({ANSWER!r} if b"/version" in asked else {OTHER!r})
    client.close()
"""
_TRY = ["unshare", "--net", "ip", "link", "set", "lo", "up"]
NEEDS_NETWORKS = pytest.mark.skipif(
    os.geteuid() != 0 or subprocess.run(_TRY, capture_output=True, check=False).returncode != 0,
    reason="makes network namespaces, which needs root",
)


@contextmanager
def server_inside(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Its process, with a loopback of its own, where it answers /api/version and 404 to all else."""
    up = 'ip link set lo up && exec "$@"'
    command = ["unshare", "--net", "sh", "-c", up, "sh", sys.executable, "-c", INSIDE, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def held() -> int:
    """Network namespaces that this process holds open."""
    links = [str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.exists()]
    return sum(link.startswith("net:") for link in links)
