"""The sockets that the service manager holds for us, by their names (sd_listen_fds(3))."""

import os
import socket

_FIRST = 3  # SD_LISTEN_FDS_START


def passed() -> dict[str, list[socket.socket]]:
    """Listening sockets by FileDescriptorName=, in any order, several to a name; none where nobody has passed any.

    Takes the variables away, so that no child believes that they are for it.
    """
    pid, count, names = (os.environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return {}
    found: dict[str, list[socket.socket]] = {}
    for number, name in enumerate(names.split(":")[: int(count)], start=_FIRST):
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
        sock.setblocking(False)
        found.setdefault(name, []).append(sock)
    return found
