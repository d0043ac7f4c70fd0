"""The program that asks registries how large models are: what it makes of their answers, and how it signs."""

import base64
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ollamactl.pulling import asking

MANIFEST = json.dumps({
    "config": {"digest": "sha256:c", "size": 3}, "layers": [{"digest": "sha256:a", "size": 7}, {"digest": ""}],
}).encode()  # fmt: skip
KEY = """-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACA7aie8zrakLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQAAAIgAAAAAAAAA
AAAAAAtzc2gtZWQyNTUxOQAAACA7aie8zrakLWKjqNAqbw1zZTIVdx3iQ6Y6wEihi1naKQ
AAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADtqJ7zOtqQtYqOo0CpvDXNl
MhV3HeJDpjrASKGLWdopAAAAAAECAwQF
-----END OPENSSH PRIVATE KEY-----
"""


class Registry(BaseHTTPRequestHandler):
    """Has one model, and asks for a token where it is private."""

    def do_GET(self) -> None:
        """Answer."""
        path, _, query = self.path.partition("?")
        if path == "/token":
            self._say(200, json.dumps({"token": query if self.headers["Authorization"] else ""}).encode())
        elif path.endswith("/moved"):
            self._say(307, b"", {"Location": f"http://{self.headers['Host']}/v2/mine/led"})
        elif path.endswith("/led"):
            self._say(403 if "Authorization" in self.headers else 200, MANIFEST)
        elif path.endswith("/there") or "scope=pull" in self.headers.get("Authorization", ""):
            self._say(200, MANIFEST)
        elif path.endswith("/private"):
            host = self.headers["Host"] if "/mine/" in path else "other.example"
            realm = f'Bearer realm="http://{host}/token",service="x",scope="pull"'
            self._say(401, b"", {"WWW-Authenticate": realm})
        else:
            self._say(404, b"no")

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def told(capsys: pytest.CaptureFixture[str], *asked: tuple[str, str]) -> list[dict[str, object]]:
    asking.main(json.dumps(asked))
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_tells_the_parts_of_a_model_and_why_it_cannot(registry: str, capsys: pytest.CaptureFixture[str]) -> None:
    there, gone = told(capsys, ("m", f"{registry}/v2/a/there"), ("n", f"{registry}/v2/a/gone"))

    assert there == {
        "model": "m", "digest": hashlib.sha256(MANIFEST).hexdigest(), "blobs": [["sha256:a", 7], ["sha256:c", 3]],
    }  # fmt: skip
    assert (gone["model"], gone["error"]) == ("n", "HTTPError: HTTP Error 404: Not Found")


def test_a_token_is_asked_for_with_the_key_but_of_no_other_host(
    registry: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ollama").mkdir()
    (tmp_path / asking._KEY).write_text(KEY)
    asked = ("m", f"{registry}/v2/mine/private"), ("n", f"{registry}/v2/others/private")
    mine, others = told(capsys, *asked)

    assert mine["blobs"] == [["sha256:a", 7], ["sha256:c", 3]]
    assert others["error"] == "ValueError: the realm is another host's"
    assert asking._get(f"{registry}/v2/mine/moved", {"Authorization": "Bearer x"}) == MANIFEST


def test_it_signs_as_ed25519_does(tmp_path: Path) -> None:
    public, seed = asking._halves(KEY)
    files = {
        "public": bytes.fromhex("302a300506032b6570032100") + public[-32:],
        "signature": asking._signed(seed, b"x"),
    }
    for name, data in {**files, "data": b"x"}.items():
        (tmp_path / name).write_bytes(data)
    command = "openssl pkeyutl -verify -pubin -keyform DER -inkey public -rawin -in data -sigfile signature"
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Signature Verified Successfully" in done.stdout, done.stderr
    assert base64.b64encode(public).decode().startswith("AAAAC3NzaC1lZDI1NTE5")
