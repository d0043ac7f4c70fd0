"""Runs inside a machine: clients that ask one server again and again, each request on a connection of its own.

Usage: callers.py PORT PATH BODY_FILE CLIENTS SECONDS. Prints JSON: how many answers were whole, how long the longest
took, and of each request that failed when it began and ended (seconds since the epoch), and how.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any


def main(port: int, path: str, body: bytes, clients: int, seconds: float) -> None:
    end = time.time() + seconds
    whole: list[float] = []
    failed: list[dict[str, Any]] = []

    def call() -> None:
        while (began := time.time()) < end:
            how = ask(port, path, body)
            if how:
                failed.append({"began": began, "ended": time.time(), "how": how})
            else:
                whole.append(time.time() - began)

    callers = [threading.Thread(target=call) for _ in range(clients)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    print(json.dumps({"whole": len(whole), "longest": max(whole, default=0.0), "failed": failed}))


def ask(port: int, path: str, body: bytes) -> str:
    """Nothing where the answer is whole, else what came in its place; an answer that only looks whole is `torn`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            return f"{answer.status} {json.loads(content)['error']}"
        rows = content.splitlines()
        last = json.loads(rows[-1]) if rows else {}
        # Ollama tells of a runner that ended in midst of an answer in the answer's last line
        return "" if last.get("done") else f"error {last['error']}" if "error" in last else "torn"
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


if __name__ == "__main__":
    number, where, file, count, duration = sys.argv[1:]
    main(int(number), where, Path(file).read_bytes(), int(count), float(duration))
