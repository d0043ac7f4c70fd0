"""What else may stand between a puller and a registry in a machine of the lab, each on a port of its own on 127.0.0.1.

- 5003, a registry that answers as a line of JSON in the file that is the first argument says: with a `status` and a
  `body`, or (`drop`) with nothing at all; else it passes on to the real one on 5000.
- 5004, the same with TLS, and a certificate of the second argument, a PEM file with its key.
- 5005, a proxy, which writes a line for each request to the file `proxied` beside the orders; `refuse` is a status.
- 5006, one that takes connections and says nothing.
"""

import json
import socket
import ssl
import sys
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ORDERS = Path(sys.argv[1])
REGISTRY, ODD, TLS, PROXY, MUTE = 5000, 5003, 5004, 5005, 5006


def orders() -> dict[str, int | str]:
    """How to behave now."""
    return dict(json.loads(ORDERS.read_text() or "{}")) if ORDERS.exists() else {}


class Passing(BaseHTTPRequestHandler):
    """Asks somebody else, and hands the answer on."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Say it."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def pass_on(self, host: str, port: int) -> None:
        """Ask."""
        passed = HTTPConnection(host, port)
        path = urlsplit(self.path)._replace(scheme="", netloc="").geturl()
        passed.request(self.command, path, headers={"Accept": self.headers.get("Accept", "*/*")})
        answer = passed.getresponse()
        names = ("Location", "Content-Type", "Content-Length", "Docker-Content-Digest")
        self.answer(answer.status, answer.read(), {name: value for name in names if (value := answer.headers[name])})

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Odd(Passing):
    """A registry with moods."""

    def do_GET(self) -> None:
        """Answer as ordered."""
        wanted = orders()
        if wanted.get("drop"):
            self.close_connection = True
        elif status := wanted.get("status"):
            self.answer(int(status), str(wanted.get("body", "")).encode(), {})
        else:
            self.pass_on("127.0.0.1", REGISTRY)

    do_HEAD = do_GET  # noqa: N815


class Proxy(Passing):
    """For both kinds of URLs."""

    def do_GET(self) -> None:
        """Pass a request on."""
        if self._lets():
            there = urlsplit(self.path)
            self.pass_on("127.0.0.1", there.port or 80)

    do_HEAD = do_GET  # noqa: N815

    def do_CONNECT(self) -> None:
        """Pass bytes on, both ways."""
        if not self._lets():
            return
        with socket.create_connection(("127.0.0.1", int(self.path.rpartition(":")[2]))) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_copy, args=(there, self.connection))
            back.start()
            _copy(self.connection, there)
            back.join()
        self.close_connection = True

    def _lets(self) -> bool:
        with (ORDERS.parent / "proxied").open("a") as log:
            log.write(f"{self.command} {self.path} {self.headers.get('Proxy-Authorization', '')}\n")
        if status := orders().get("refuse"):
            self.answer(int(status), b"not you", {"Proxy-Authenticate": "Basic"})
        return not status


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(1 << 16):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


def main() -> None:
    """Serves all of them."""
    tls = ThreadingHTTPServer(("127.0.0.1", TLS), Odd)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    tls.socket = context.wrap_socket(tls.socket, server_side=True)
    mute = socket.create_server(("127.0.0.1", MUTE))
    for server in (tls, ThreadingHTTPServer(("127.0.0.1", ODD), Odd)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", PROXY), Proxy).serve_forever()
    mute.close()


if __name__ == "__main__":
    main()
