"""A gate of one door, as a process: PORT SERVER_PORT."""

import asyncio
import socket
import sys

from ollamactl.gate.backend import Pool
from ollamactl.gate.clock import Clock
from ollamactl.gate.decide import Listener
from ollamactl.gate.dialing import Direct
from ollamactl.gate.gate import Door
from ollamactl.gate.limits import Limits


async def main(port: int, *servers: int) -> None:
    limits = Limits()
    clock = Clock(asyncio.get_running_loop(), 1.0)
    for number, server in enumerate(servers):
        sock = socket.create_server(("127.0.0.1", port + number), backlog=4096)
        sock.setblocking(False)
        await Door(Pool(Direct(("127.0.0.1", server)), clock, limits), clock, Listener(loopback=True)).open(sock)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
