"""A gate before some servers that are awake, as a process: PORT SERVER_PORT..."""

import asyncio
import socket
import sys

from ollamactl.gate.clock import Clock
from ollamactl.gate.config import Behind
from ollamactl.gate.decide import Listener
from ollamactl.gate.dialing import Direct
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits
from ollamactl.gate.server import Server


class Awake:
    """Their units."""

    async def start(self, unit: str) -> None:
        """They run."""

    async def stop(self, unit: str) -> None:
        """They run on."""

    async def hopeless(self, unit: str) -> str:
        """They do not fail."""
        return ""

    async def active(self, unit: str) -> str:
        """They run."""
        return "active"

    async def note(self, unit: str, priority: int, event: str, text: str) -> None:
        """Nobody keeps a journal."""


async def main(port: int, *ports: int) -> None:
    limits = Limits()
    clock = Clock(asyncio.get_running_loop(), 1.0)
    for number, behind in enumerate(ports):
        sock = socket.create_server(("127.0.0.1", port + number), backlog=4096)
        sock.setblocking(False)
        told = Behind(name=f"x{number}", unit=f"ollama@x{number}.service", port=behind, binary=sys.executable)
        server = Server(told, Direct(("127.0.0.1", behind)), Awake(), clock, limits)
        await server.look()
        await Door(server.pool, clock, Listener(loopback=True), server.waker, server).open(sock)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
