import os
import socket
from pathlib import Path

import pytest

from ollamactl.errors import HostError
from ollamactl.host import listeners

PROC = Path(__file__).parent.parent / "fixtures/net"


def test_only_listening_sockets_with_their_addresses_in_words() -> None:
    found = {(listener.address, listener.port, listener.inode) for listener in listeners.read(PROC)}
    assert found == {
        ("127.0.0.1", 11434, 41),
        ("0.0.0.0", 11435, 42),
        ("192.168.1.5", 11434, 44),
        ("::", 11436, 51),
        ("::1", 11434, 52),
        ("127.0.0.1", 11437, 53),
        ("2001:db8::1", 11434, 54),
    }


def test_a_kernel_without_ipv6_has_the_other_table(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_bytes((PROC / "net/tcp").read_bytes())
    assert len(listeners.read(tmp_path)) == 3


def test_an_unreadable_table_is_a_host_error(tmp_path: Path) -> None:
    (tmp_path / "net/tcp").mkdir(parents=True)
    with pytest.raises(HostError, match="net/tcp"):
        listeners.read(tmp_path)


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_running_kernel_says_the_same(family: socket.AddressFamily, address: str) -> None:
    with socket.create_server((address, 0), family=family) as server:
        port, inode = server.getsockname()[1], os.fstat(server.fileno()).st_ino
        (found,) = listeners.serving(listeners.read(), address, port)
    assert (found.address, found.port, found.inode) == (address, port, inode)


def test_connections_that_a_process_does_not_take_are_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
            (found,) = listeners.serving(listeners.read(), "127.0.0.1", port)
            server.accept()[0].close()
            (taken,) = listeners.serving(listeners.read(), "127.0.0.1", port)
    assert (found.waiting, taken.waiting) == (2, 1)


def at(address: str, port: int = 1, inode: int = 0) -> listeners.Listener:
    return listeners.Listener(address=address, port=port, inode=inode)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", ["127.0.0.1", "0.0.0.0", "::"]),
        ("::1", ["::1", "::"]),
        ("10.0.0.1", ["0.0.0.0", "::"]),
        ("0.0.0.0", ["0.0.0.0", "::", "127.0.0.1"]),
        ("::", ["::", "0.0.0.0", "::1", "127.0.0.1"]),
    ],
)
def test_the_exact_address_serves_before_wildcards(host: str, expected: list[str]) -> None:
    everything = [at(address) for address in ("::", "::1", "127.0.0.1", "0.0.0.0")] + [at(host, port=2)]
    assert [listener.address for listener in listeners.serving(everything, host, 1)] == expected


def test_the_ports_of_a_process_are_those_on_which_it_listens() -> None:
    before = listeners.ports(os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert listeners.ports(os.getpid()) == before | {port}
    assert listeners.ports(2**22 + 1) == frozenset()
