"""Messages of D-Bus, as far as questions to the service manager take: strings and numbers out, those and paths back.

The D-Bus Specification, "Type System" and "Message Protocol"; always little-endian, as we say in the first byte.
"""

import struct
from typing import NamedTuple

CALL, RETURN, ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _SIGNATURE = 1, 2, 3, 4, 5, 8
_FIXED = 16
"""Bytes that tell how long the rest is."""
_LONGEST = 1 << 20

Value = str | int


class Reply(NamedTuple):
    """What came back."""

    kind: int
    serial: int
    """Of the call that it answers."""
    error: str
    """Its name, of an error."""
    value: Value | None
    """The first of its body: words of an error, else what was asked for."""


def call(serial: int, path: str, interface: str, member: str, *arguments: Value) -> bytes:
    """A method call; numbers are sent as UINT32."""
    fields = bytearray()
    for code, kind, text in ((_PATH, "o", path), (_INTERFACE, "s", interface), (_MEMBER, "s", member)):
        _pad(fields, 8)
        fields += bytes((code, 1)) + kind.encode() + b"\0"
        _string(fields, text)
    signature = "".join("u" if isinstance(each, int) else "s" for each in arguments).encode()
    if signature:
        _pad(fields, 8)
        fields += bytes((_SIGNATURE, 1)) + b"g\0" + bytes((len(signature),)) + signature + b"\0"
    body = bytearray()
    for each in arguments:
        if isinstance(each, int):
            _pad(body, 4)
            body += struct.pack("<I", each)
        else:
            _string(body, each)
    head = bytearray(struct.pack("<BBBBIII", ord("l"), CALL, 0, 1, len(body), serial, len(fields)) + fields)
    _pad(head, 8)
    return bytes(head + body)


def length(start: bytes) -> int:
    """How long the message is that begins with these 16 bytes. Raises ValueError where that is none that we read."""
    if start[:1] != b"l" or start[3] != 1:
        raise ValueError("not D-Bus")
    body, _, fields = struct.unpack_from("<III", start, 4)
    whole = int(_FIXED + fields + -fields % 8 + body)
    if whole > _LONGEST:
        raise ValueError(f"a message of {whole} bytes")
    return whole


def read(message: bytes) -> Reply:
    """A whole message. Raises ValueError or struct.error where it is none."""
    body, _, size = struct.unpack_from("<III", message, 4)
    fields, error, serial, signature = _Reader(message, _FIXED), "", 0, ""
    while fields.at < _FIXED + size:
        fields.pad(8)
        code = fields.byte()
        value = fields.variant()
        if code == _ERROR_NAME:
            error = str(value)
        elif code == _REPLY_SERIAL:
            serial = int(value)
        elif code == _SIGNATURE:
            signature = str(value)
    inside = _Reader(message, len(message) - body)
    known = signature[:1] in ("s", "o", "u", "v")
    return Reply(kind=message[1], serial=serial, error=error, value=inside.value(signature) if known else None)


class _Reader:
    """Values one after another; positions count from the message's begin, to which all alignment refers."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self.at = at

    def pad(self, size: int) -> None:
        self.at += -self.at % size

    def byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def variant(self) -> Value:
        return self.value(self._text(self.byte()))

    def value(self, signature: str) -> Value:
        """One value; of a structure the first member, which is all that we ever want of one."""
        kind = signature[:1]
        if kind == "v":
            return self.variant()
        if kind == "g":
            return self._text(self.byte())
        if kind == "(":
            self.pad(8)
            return self.value(signature[1:])
        if kind in ("u", "b", "s", "o"):
            self.pad(4)
            (number,) = struct.unpack_from("<I", self._data, self.at)
            self.at += 4
            return int(number) if kind in ("u", "b") else self._text(number)
        raise ValueError(f"a value of type {signature}")

    def _text(self, size: int) -> str:
        start, self.at = self.at, self.at + size + 1
        if self.at > len(self._data):
            raise ValueError("a string that is longer than its message")
        return self._data[start : start + size].decode()


def _string(to: bytearray, text: str) -> None:
    data = text.encode()
    _pad(to, 4)
    to += struct.pack("<I", len(data)) + data + b"\0"


def _pad(to: bytearray, size: int) -> None:
    to += bytes(-len(to) % size)


def object_path(unit: str) -> str:
    """A unit's D-Bus path (sd_bus_path_encode(3))."""
    text = "".join(
        chr(each) if chr(each).isalnum() and each < 128 and not (at == 0 and chr(each).isdigit()) else f"_{each:02x}"
        for at, each in enumerate(unit.encode())
    )
    return f"/org/freedesktop/systemd1/unit/{text}"
