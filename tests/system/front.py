"""What stands before the real registry in a machine of the lab: the file server that it redirects to, and a gate.

The file server, on 127.0.0.1:5001, has the registry's blobs below the folder that is its first argument, and does what
a line of JSON in the file that is its second tells it: `rate` (bytes a second), `cut` and `stall` (break off, or send
nothing more, after so many bytes of an answer), `spoil` (send other bytes). It appends each range that it is asked for
to the file `asked` beside that. Ollama fetches blobs from where a registry redirects to, and that must be another
host's name: localhost.

The gate, on 127.0.0.1:5002, lets through to the registry who shows a token, and gives one to the key in `key` there.
"""

import json
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ROOT, ORDERS = Path(sys.argv[1]), Path(sys.argv[2])
REGISTRY, FILES, GATE = 5000, 5001, 5002
_CHUNK = 1 << 16


class Files(BaseHTTPRequestHandler):
    """Serves ranges of files."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve a file, or a range of it, as badly as ordered."""
        orders = json.loads(ORDERS.read_text() or "{}") if ORDERS.exists() else {}
        file = ROOT / urlsplit(self.path).path.lstrip("/")
        size = file.stat().st_size
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        begin, end = int(first or 0), min(int(last or size), size - 1) + 1
        with (ORDERS.parent / "asked").open("a") as asked:
            asked.write(f"{begin}-{end}\n")
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        if self.command == "GET":
            self._send(file, begin, end, orders)

    do_HEAD = do_GET  # noqa: N815  the name that BaseHTTPRequestHandler looks for

    def _send(self, file: Path, begin: int, end: int, orders: dict[str, int]) -> None:
        with file.open("rb") as data:
            data.seek(begin)
            sent = 0
            while left := end - begin - sent:
                if sent >= orders.get("cut", end):
                    self.close_connection = True
                    return
                if sent >= orders.get("stall", end):
                    time.sleep(3600)
                chunk = data.read(min(_CHUNK, left))
                self.wfile.write(bytes(len(chunk)) if orders.get("spoil") else chunk)
                sent += len(chunk)
                if rate := orders.get("rate"):
                    time.sleep(len(chunk) / rate)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Gate(BaseHTTPRequestHandler):
    """Asks for a token, and gives one to a key that it knows (server/auth.go in Ollama)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer /token, and pass all else on."""
        shown = self.headers.get("Authorization", "")
        if urlsplit(self.path).path == "/token":
            key = ORDERS.parent / "key"
            known = key.read_text().split()[1] if key.exists() else "nobody"
            if shown.partition(":")[0] == known:
                self._answer(200, b'{"token": "let me in"}', {})
            else:
                self._answer(401, b"unknown key", {})
        elif shown == "Bearer let me in":
            passed = HTTPConnection("127.0.0.1", REGISTRY)
            passed.request(self.command, self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
            answer = passed.getresponse()
            names = ("Location", "Content-Type", "Docker-Content-Digest")
            headers = {name: value for name in names if (value := answer.headers[name])}
            self._answer(answer.status, answer.read(), headers, answer.headers["Content-Length"])
        else:
            realm = f'Bearer realm="http://127.0.0.1:{GATE}/token",service="gate",scope="pull"'
            self._answer(401, b"", {"WWW-Authenticate": realm})

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: int, body: bytes, headers: dict[str, str], length: str | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": length or str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


if __name__ == "__main__":
    gate = ThreadingHTTPServer(("127.0.0.1", GATE), Gate)
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", FILES), Files).serve_forever()
