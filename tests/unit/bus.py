"""A D-Bus connection to a service manager, played by a test."""

import os
from typing import Any

from pystemd import dbusexc

from ollamactl.host.systemd import Manager

MANAGER = b"org.freedesktop.systemd1.Manager"
PROPERTIES = b"org.freedesktop.DBus.Properties"


class Message:
    """As pystemd's: a signal, or nothing."""

    def __init__(self, member: tuple[bytes, bytes] | None = None, body: object = None, path: bytes = b"") -> None:
        self.member, self.body, self.headers = member, body, {"Path": path}

    def is_empty(self) -> bool:
        return self.member is None

    def is_signal(self, interface: bytes, name: bytes) -> bool:
        return self.member == (interface, name)

    def process_reply(self, _: bool) -> None:
        pass


class Bus:
    """Answers calls by `replies` (method -> value, function or exception), and hands out signals."""

    def __init__(self, replies: dict[str, Any]) -> None:
        self.replies, self.calls = replies, list[tuple[str, ...]]()
        self.signals: list[Message] = []
        self.awake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def call_method(self, _name: bytes, _path: bytes, _on: bytes, method: bytes, arguments: list[Any]) -> Message:
        words = [each for each in arguments if isinstance(each, str)]
        self.calls.append((method.decode(), *words))
        return Message(body=self._reply(method.decode(), *words))

    def get_property(self, _name: bytes, path: bytes, _on: bytes, name: bytes, _signature: bytes) -> object:
        return self._reply(name.decode(), path.decode())

    def _reply(self, method: str, *arguments: str) -> object:
        reply = self.replies.get(method)
        if isinstance(reply, Exception):
            raise reply
        return reply(*arguments) if callable(reply) else reply

    def signal(self, message: Message) -> None:
        self.signals.append(message)
        os.eventfd_write(self.awake, 1)

    def removed(self, path: str, result: str = "done") -> None:
        """A job has ended."""
        self.signal(Message((MANAGER, b"JobRemoved"), [7, path.encode(), b"x", result.encode()]))

    def process(self) -> Message:
        if not self.signals:
            return Message()
        return self.signals.pop(0)

    def get_fd(self) -> int:
        return self.awake

    def close(self) -> None:
        os.close(self.awake)


class Played(Manager):
    """A manager that speaks to such a bus."""

    def __init__(self, replies: dict[str, Any], *, private: bool = True) -> None:
        self.bus = Bus(replies)
        self._is_private = private
        super().__init__()
        self._append = lambda _, arguments: arguments

    def _open(self, dbuslib: Any) -> Any:
        self._private = self._is_private
        return self.bus


def error(number: int, name: str, words: str) -> Exception:
    """What a call raises."""
    found: Exception = dbusexc.DBusBaseError(-number, name.encode(), words.encode())
    return found


REFUSALS = [
    error(13, "org.freedesktop.DBus.Error.AccessDenied", "Permission denied"),
    error(1, "System.Error.EPERM", "Operation not permitted"),
    error(13, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "Interactive authentication required."),
]
