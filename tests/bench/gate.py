"""`make bench-gate`: what the gate adds, beside a direct connection and nginx, one core for each of the two.

Rounds of all three follow each other, and medians of rounds are told: a machine with other work slows them alike.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from tests.lab import web

ROUNDS = 7
SECONDS = 2
CONNECTIONS = 32
SERVERS = 20
REQUESTS = 100_000
CHUNKS = 2000
DIRECT, NGINX, GATE = 18100, 18200, 18300
CHECKOUT = Path(__file__).resolve().parents[2]

REPORT = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("\\nRESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""
COMMON = """
daemon off; worker_processes 1; pid {name}.pid; error_log {name}.log; master_process off;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path 1; proxy_temp_path 2; fastcgi_temp_path 3; uwsgi_temp_path 4; scgi_temp_path 5;
{body}
}}
"""
ANSWER = '  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 \'{{"version":"0.34.0"}}\'; }} }}'
PROXY = """
  upstream server {{ server 127.0.0.1:{server}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    location / {{ proxy_pass http://server; }}
  }}
"""


@dataclass(frozen=True)
class Run:
    """What wrk said: seconds, and how many requests failed."""

    requests: int
    rate: float
    p50: float
    p99: float
    errors: int


def main() -> int:
    """Prints each row with its limit; exits with 1 when one is missed."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        scratch = Path(place)
        scratch.chmod(0o755)
        (scratch / "report.lua").write_text(REPORT)
        answers = "\n".join(ANSWER.format(port=DIRECT + number) for number in range(SERVERS))
        stack.enter_context(nginx(scratch, "server", answers, core=1))
        proxy = stack.enter_context(nginx(scratch, "proxy", PROXY.format(port=NGINX, server=DIRECT), core=0))
        gate = stack.enter_context(gate_before(range(DIRECT, DIRECT + SERVERS), core=0))
        rows = [*speed(scratch, gate, proxy), *memory(scratch, gate), *streaming()]
    missed = 0
    for what, value, limit, least, unit in rows:
        good = value >= limit if least else value <= limit
        missed += not good
        words = "at least" if least else "at most"
        bound = f"{words} {limit:g}" if limit < float("inf") else ""
        print(f"{what:<58} {value:10.3f} {unit:<5} {bound}{'' if good else '  MISSED'}")
    return 1 if missed else 0


Row = tuple[str, float, float, bool, str]


def speed(scratch: Path, gate: int, proxy: int) -> Iterator[Row]:
    """Requests a second at 32 connections, and the latency of one."""
    many: dict[int, list[Run]] = {DIRECT: [], NGINX: [], GATE: []}
    single: dict[int, list[Run]] = {DIRECT: [], NGINX: [], GATE: []}
    used = {NGINX: 0.0, GATE: 0.0}
    for _ in range(ROUNDS):
        for port in many:
            before = {NGINX: processor(proxy), GATE: processor(gate)}
            many[port].append(wrk(scratch, port, CONNECTIONS))
            if port in used:
                used[port] += {NGINX: processor(proxy), GATE: processor(gate)}[port] - before[port]
            single[port].append(wrk(scratch, port, 1))

    def of(runs: list[Run], what: Callable[[Run], float]) -> float:
        return median(what(run) for run in runs)

    def added(port: int, what: Callable[[Run], float]) -> float:
        pairs = zip(single[port], single[DIRECT], strict=True)
        return median(what(run) - what(direct) for run, direct in pairs) * 1000

    none = float("inf")
    yield "latency added by the gate, p50", added(GATE, lambda run: run.p50), 0.15, False, "ms"
    yield "latency added by the gate, p99", added(GATE, lambda run: run.p99), 1.0, False, "ms"
    yield "latency added by nginx, p50", added(NGINX, lambda run: run.p50), none, False, "ms"
    yield "latency added by nginx, p99", added(NGINX, lambda run: run.p99), none, False, "ms"
    yield "requests/s directly", of(many[DIRECT], lambda run: run.rate), 0, True, ""
    yield "requests/s through nginx", of(many[NGINX], lambda run: run.rate), 0, True, ""
    yield "requests/s through the gate", of(many[GATE], lambda run: run.rate), 20_000, True, ""
    pairs = zip(many[GATE], many[NGINX], strict=True)
    yield "the same as a share of nginx", median(ours.rate / theirs.rate for ours, theirs in pairs), 0.5, True, ""
    for name, port in (("nginx", NGINX), ("gate", GATE)):
        each = used[port] / sum(run.requests for run in many[port])
        yield f"processor time of the {name} for each request", each * 1e6, none, False, "us"
    yield "requests that failed", sum(run.errors for runs in many.values() for run in runs), 0, False, ""


def memory(scratch: Path, gate: int) -> Iterator[Row]:
    """Resident memory before 20 servers, after so many requests, and what it grew by in the second half of them."""
    sizes: list[float] = []
    asked = 0
    while asked < 2 * REQUESTS:
        for number in range(SERVERS):
            asked += wrk(scratch, GATE + number, CONNECTIONS, seconds=1).requests
            if not sizes and asked >= REQUESTS:
                sizes.append(resident(gate))
    sizes.append(resident(gate))
    yield f"memory with {SERVERS} servers after {REQUESTS} requests", sizes[0], 35, False, "MB"
    yield "what it grew by with as many again", sizes[-1] - sizes[0], 1, False, "MB"


def streaming() -> Iterator[Row]:
    """How much later a piece of a stream arrives: each carries the time at which it was sent."""
    delays = asyncio.run(streamed())
    at = {port: quantiles(some, n=100) for port, some in delays.items()}
    yield "added delay of a streamed chunk, p50", (at[GATE][49] - at[DIRECT][49]) * 1000, float("inf"), False, "ms"
    yield "added delay of a streamed chunk, p99", (at[GATE][98] - at[DIRECT][98]) * 1000, 0.5, False, "ms"


async def streamed() -> dict[int, list[float]]:
    """Delays in seconds, directly and through a gate of its own, in turns of 50 chunks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(50):
                await asyncio.sleep(0.004)
                piece = f"{time.perf_counter():.9f}\n".encode()
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            writer.write(b"0\r\n\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    behind = server.sockets[0].getsockname()[1]
    delays: dict[int, list[float]] = {DIRECT: [], GATE: []}
    with gate_before([behind], port=GATE + SERVERS, core=0):
        ends = {
            DIRECT: await asyncio.open_connection("127.0.0.1", behind),
            GATE: await asyncio.open_connection("127.0.0.1", GATE + SERVERS),
        }
        while len(delays[GATE]) < CHUNKS:
            for port, (reader, writer) in ends.items():
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await reader.readuntil(b"\r\n\r\n")
                while size := int(await reader.readline(), 16):
                    stamps = await reader.readexactly(size + 2)  # several, where the loop was late for all of them
                    delays[port] += [time.perf_counter() - float(stamp) for stamp in stamps.split()]
                await reader.readline()
        for _, writer in ends.values():
            writer.close()
    return delays


def wrk(scratch: Path, port: int, connections: int, seconds: int = SECONDS) -> Run:
    """One run, on the core that the gate does not have."""
    program, variables = web.wrk()
    command = [
        "taskset", "-c", "1", program, "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(scratch / "report.lua"),
        f"http://127.0.0.1:{port}/api/version",
    ]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=True)
    words = done.stdout.partition("RESULT ")[2].split()
    requests, duration, p50, p99, errors = map(int, words)
    return Run(requests, requests / duration * 1e6, p50 / 1e6, p99 / 1e6, errors)


@contextmanager
def nginx(scratch: Path, name: str, body: str, *, core: int) -> Iterator[int]:
    """A process of nginx; yields its id."""
    config = scratch / f"{name}.conf"
    config.write_text(COMMON.format(name=name, body=body))
    command = ["taskset", "-c", str(core), web.nginx(), "-p", str(scratch), "-c", str(config)]
    with process(command) as pid:
        while not (scratch / f"{name}.pid").exists():
            time.sleep(0.02)
        yield pid


@contextmanager
def gate_before(servers: "range | list[int]", *, core: int, port: int = GATE) -> Iterator[int]:
    """A gate with a door for each server; yields its process id."""
    command = ["taskset", "-c", str(core), "/usr/bin/python3", "-m", "tests.gate.serve", str(port), *map(str, servers)]
    with process(command) as pid:
        while subprocess.run(["ss", "-Hltn", f"sport = {port + len(servers) - 1}"], capture_output=True).stdout == b"":
            time.sleep(0.05)
        yield pid


@contextmanager
def process(command: list[str]) -> Iterator[int]:
    """Runs it while it is needed."""
    running = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    try:
        yield running.pid
    finally:
        running.terminate()
        running.wait()


def processor(pid: int) -> float:
    """Seconds that a process has had so far (proc_pid_stat(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Its memory in MB (VmRSS)."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
