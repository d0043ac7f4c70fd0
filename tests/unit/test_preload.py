"""The shell that has models loaded: what it asks, and how it is known that it is at work."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ollamactl.host import preloading, processes
from ollamactl.units import render
from tests.unit.server import free_port

LINES = (Path(render.__file__).parents[1] / "templates/preload.sh").read_text().splitlines()
SCRIPT = " ".join(line for line in LINES if not line.startswith("#"))
"""As systemd gives it to the shell."""


class Handler(BaseHTTPRequestHandler):
    """Ollama's answers to loads: of an embedding model, of one that fails once, of others."""

    asked: list[tuple[str, str]]

    def do_POST(self) -> None:
        """Write down what is asked."""
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, question["model"]))
        first = self.asked.count((self.path, question["model"])) == 1
        status, answer = 200, {"done_reason": "load"}
        if question["model"] == "embed" and self.path == "/api/generate":
            status, answer = 400, {"error": "no generate"}
        if question["model"] == "frail" and first:
            status, answer = 500, {"error": "out of memory"}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(port: int) -> Iterator[list[tuple[str, str]]]:
    Handler.asked = []
    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield Handler.asked
        server.shutdown()
        thread.join()


@contextmanager
def shell(port: int, *models: str) -> Iterator["subprocess.Popen[str]"]:
    """It goes on for ever where nobody answers, so it is ended with the test."""
    words = ["/bin/bash", "-c", f"{SCRIPT}\nwait", "preload", "127.0.0.1", str(port), *models]
    command = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0)
    with command as bash:
        try:
            yield bash
        finally:
            with suppress(ProcessLookupError):
                os.killpg(bash.pid, signal.SIGKILL)


def test_each_model_is_asked_for_as_its_kind_needs_and_again_where_it_failed() -> None:
    port = free_port()
    with shell(port, "a", "embed", "frail") as bash, serving(port) as asked:
        said, _ = bash.communicate(timeout=20)

    assert asked == [
        ("/api/generate", "a"), ("/api/generate", "embed"), ("/api/embed", "embed"),
        ("/api/generate", "frail"), ("/api/generate", "frail"),
    ]  # fmt: skip
    assert [line.partition(" after ")[0] for line in said.splitlines()] == [
        "preload: a is in memory",
        "preload: embed is in memory",
        'preload: frail was not loaded: {"error": "out of memory"}',
        "preload: frail is in memory",
    ]


def test_it_is_known_by_its_unit_while_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    with shell(free_port(), "a") as bash:
        monkeypatch.setattr(processes, "unit_of", lambda *_: "ollama@a.service")
        # The kernel shows a new program's arguments a moment after Popen knows that it runs
        deadline = time.monotonic() + 10
        while not preloading.at_work("ollama@a.service"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not preloading.at_work("ollama@b.service")
        os.killpg(bash.pid, signal.SIGKILL)
