"""Sockets that are passed, as systemd passes them."""

import os
import socket
import subprocess

CODE = """
import os
from ollamactl.gate import descriptors
passed = descriptors.passed()
print(sorted((name, [sock.getsockname()[1] for sock in each]) for name, each in passed.items()))
print([name for name in os.environ if name.startswith("LISTEN_")])
print({os.get_inheritable(sock.fileno()) for each in passed.values() for sock in each})
"""


def given(names: str, count: int, pid: str = "$$") -> tuple[list[int], str]:
    """What a process finds that gets so many sockets, and their ports."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    high = [os.dup(sock.fileno()) for sock in sockets]
    moves = " ".join(f"{number}<&{fd}" for number, fd in enumerate(high, start=3))
    variables = f"LISTEN_PID={pid} LISTEN_FDS={count} LISTEN_FDNAMES={names}"
    command = f"exec {moves}; export {variables}; exec /usr/bin/python3 -c '{CODE}'"
    done = subprocess.run(["/bin/bash", "-c", command], pass_fds=high, capture_output=True, text=True, check=True)
    for fd in high:
        os.close(fd)
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports, done.stdout


def test_each_has_its_name_and_several_may_share_one() -> None:
    ports, told = given("llama3:mistral:llama3", 3)

    assert told.splitlines() == [str([("llama3", [ports[0], ports[2]]), ("mistral", [ports[1]])]), "[]", "{False}"]


def test_those_for_another_process_are_not_ours() -> None:
    assert given("llama3", 1, pid="1")[1].splitlines() == ["[]", "[]", "set()"]
