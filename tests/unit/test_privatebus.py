"""Questions to the manager, byte for byte, and what an end of the connection or strange bytes in between come to."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamactl.errors import HostError
from ollamactl.host import dbuswire, privatebus
from ollamactl.host.privatebus import PrivateBus

CALL = bytes.fromhex(
    "6c 01 00 01 1c 00 00 00 07 00 00 00 78 00 00 00"  # little-endian, a call; 28 bytes, the 7th; fields: 120
    "01 01 6f 00 19 00 00 00" + b"/org/freedesktop/systemd1".hex() + "00 00 00 00 00 00 00"
    "02 01 73 00 20 00 00 00" + b"org.freedesktop.systemd1.Manager".hex() + "00 00 00 00 00 00 00 00"
    "03 01 73 00 09 00 00 00" + b"StartUnit".hex() + "00 00 00 00 00 00 00"
    "08 01 67 00 02 73 73 00"
    "09 00 00 00" + b"x.service".hex() + "00 00 00"
    "07 00 00 00" + b"replace".hex() + "00"
)  # fmt: skip
ROOT, MANAGER = "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"


def reply(serial: int, value: bytes, signature: bytes, *, kind: int = 2, error: bytes = b"") -> bytes:
    """What systemd would send."""
    fields = b"\x05\x01u\0" + struct.pack("<I", serial) + b"\x08\x01g\0" + bytes([len(signature)]) + signature + b"\0"
    if error:
        fields += bytes(-len(fields) % 8) + b"\x04\x01s\0" + struct.pack("<I", len(error)) + error + b"\0"
    head = b"l" + bytes([kind]) + b"\0\1" + struct.pack("<III", len(value), 1, len(fields)) + fields
    return head + bytes(-len(head) % 8) + value


def text(words: bytes) -> bytes:
    return struct.pack("<I", len(words)) + words + b"\0"


def variant(value: str | int) -> bytes:
    if isinstance(value, int):
        return b"\1u\0\0" + struct.pack("<I", value)
    return b"\1s\0\0" + text(value.encode())


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Callable[..., PrivateBus]]:
    """A bus whose other end answers as a test says: a function a connection, from the message to bytes."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "private"))
    listener.listen()

    def play(*connections: Callable[[bytes], bytes]) -> PrivateBus:
        def serve() -> None:
            for answer in connections:
                peer, _ = listener.accept()
                with peer, suppress(ConnectionError):
                    assert peer.recv(4096).endswith(b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
                    peer.sendall(b"OK 0123\r\nAGREE_UNIX_FD\r\n")
                    while message := peer.recv(4096):
                        said = answer(message)
                        if not said:
                            break
                        peer.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        return PrivateBus(str(tmp_path / "private"))

    yield play
    listener.close()


def serial(message: bytes) -> int:
    return int(struct.unpack_from("<I", message, 8)[0])


def test_a_call_is_written_as_the_specification_says() -> None:
    assert dbuswire.call(7, ROOT, MANAGER, "StartUnit", "x.service", "replace").hex(" ") == CALL.hex(" ")
    assert dbuswire.length(CALL[:16]) == len(CALL)


@pytest.mark.parametrize(
    ("unit", "path"),
    [("ollama@llama3.service", "ollama_40llama3_2eservice"), ("1a-b.service", "_31a_2db_2eservice"), ("é", "_c3_a9")],
)
def test_units_have_paths_as_libsystemd_writes_them(unit: str, path: str) -> None:
    assert dbuswire.object_path(unit) == f"/org/freedesktop/systemd1/unit/{path}"


def test_a_unit_is_told_as_it_is(manager: Callable[..., PrivateBus]) -> None:
    def answer(message: bytes) -> bytes:
        if b"ActiveState" in message:
            signal = reply(serial(message), text(b"x"), b"s", kind=4)
            late = reply(serial(message) - 1, variant("late"), b"v")
            return signal + late + reply(serial(message), variant("active"), b"v")
        if b"MainPID" in message:
            return reply(serial(message), variant(4711), b"v")
        job = b"\4(uo)\0\0\0" + struct.pack("<I", 3) + text(b"/job/3")
        return reply(serial(message), job, b"v")

    assert manager(answer).now("x.service") == privatebus.Now("active", 4711, True)


def test_a_manager_that_is_executed_anew_is_asked_again(manager: Callable[..., PrivateBus]) -> None:
    bus = manager(lambda _: b"", lambda message: reply(serial(message), variant(5), b"v"))
    assert bus.main_pid("x.service") == 5
    bus.close()


def test_what_was_never_loaded_has_no_failure_to_forget_and_is_started(manager: Callable[..., PrivateBus]) -> None:
    def answer(message: bytes) -> bytes:
        if b"ResetFailedUnit" in message:
            return reply(serial(message), text(b"Unit x.service not loaded."), b"s", kind=3, error=b"org.x.NoSuchUnit")
        return reply(serial(message), text(b"/job/1"), b"o")

    manager(answer).start("x.service")


def test_refusals_are_told_in_systemds_words(manager: Callable[..., PrivateBus]) -> None:
    bus = manager(lambda message: reply(serial(message), text(b"It is masked."), b"s", kind=3, error=b"org.x.Masked"))
    with pytest.raises(HostError, match=r"StopUnit x.service replace: org.x.Masked It is masked\."):
        bus.stop("x.service")


@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 200 OK\r\n\r\n", b"l\2\0\1" + b"\xff" * 60, b"l\2\0\1" + bytes(4) + b"\1" * 8]
)
def test_nonsense_is_an_error_and_no_answer(
    manager: Callable[..., PrivateBus], nonsense: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privatebus, "_SECONDS", 0.5)
    bus = manager(lambda _: nonsense, lambda _: nonsense)
    with pytest.raises(HostError):
        bus.main_pid("x.service")


def test_without_a_manager_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="systemd"):
        PrivateBus(str(tmp_path / "none")).main_pid("x.service")


@given(st.binary(max_size=200))
def test_no_bytes_are_worse_than_an_error(data: bytes) -> None:
    message = CALL[:16] + data
    try:
        dbuswire.read(message[: dbuswire.length(message[:16])])
    except (ValueError, struct.error, IndexError, RecursionError):
        return
