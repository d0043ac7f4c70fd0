"""What the kernel knows of a connection before the loop does."""

import asyncio
import fcntl
import struct
import termios


def unread(transport: asyncio.BaseTransport) -> bool:
    """Whether anything has come that was not read yet (tcp(7), SIOCINQ)."""
    try:
        told = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, bytes(4))
    except (OSError, ValueError):  # it is being closed
        return False
    return int(struct.unpack("i", told)[0]) > 0
