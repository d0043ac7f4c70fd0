"""A model registry that runs in a machine of the lab: what a pull needs of it, no more.

It serves the files below the folder that is its argument, `manifests/NAME` and `blobs/DIGEST`, on port 5000 of every
address. Ollama fetches blobs only from where the registry redirects to, and that must be another host's name.
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import AF_INET6

PORT = 5000
ROOT = Path(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    """Answers /v2/library/NAME/manifests/TAG and /v2/library/NAME/blobs/DIGEST."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Serve a manifest, or (a range of) a blob."""
        _, _, _, name, kind, wanted = self.path.split("/")
        file = ROOT / "manifests" / name if kind == "manifests" else ROOT / "blobs" / wanted
        if not file.exists():
            self._answer(404, b"")
        elif kind == "blobs" and not self.headers["Host"].startswith("localhost"):
            self._answer(307, b"", {"Location": f"http://localhost:{PORT}{self.path}"})
        else:
            data = file.read_bytes()
            first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            part = data[int(first or 0) : int(last or len(data)) + 1]
            self._answer(206 if first else 200, part)

    do_HEAD = do_GET  # noqa: N815  the name that BaseHTTPRequestHandler looks for

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Listens on IPv6 and IPv4."""

    address_family = AF_INET6


if __name__ == "__main__":
    Server(("::", PORT), Handler).serve_forever()
