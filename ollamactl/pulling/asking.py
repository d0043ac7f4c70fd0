"""The program that asks registries how large models are, beside the server that pulls and in its unit.

It has the server's fences, proxies, certificates and key, and asks as the server does (server/images.go and
server/auth.go in Ollama). Its argument is a JSON list of [name, URL of the manifest]; of each it prints a line of JSON,
{"model": name, "digest": SHA-256 of the manifest, "blobs": [[digest, bytes], ...]}, or one with "error" in their place.
The unit may not see where ollamactl is installed, so this file comes alone: it imports the standard library only.
"""

# ruff: noqa: PTH123, T201, S310
import base64
import ctypes
import hashlib
import json
import os
import secrets
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SECONDS = 10.0
"""For each answer: who is slower is asked by the server alone."""
_AT_ONCE = 8
_MAX_BYTES = 4 << 20
_KEY = ".ollama/id_ed25519"
_ED25519 = 1087  # EVP_PKEY_ED25519
_ACCEPT = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}


def main(text: str) -> None:
    """Asks for all, some at once, and prints each answer."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for row in pool.map(_told, json.loads(text)):
            print(json.dumps(row), flush=True)


def _told(wanted: tuple[str, str]) -> dict[str, object]:
    model, url = wanted
    try:
        data = _manifest(url)
        found = json.loads(data)
        entries = [*(found["layers"] or ()), found.get("config") or {}]
        blobs = [[entry["digest"], int(entry["size"])] for entry in entries if entry.get("digest")]
    except Exception as error:  # noqa: BLE001  whatever it is, the server itself will ask, and tell what is wrong
        return {"model": model, "error": f"{type(error).__name__}: {error}"[:500]}
    return {"model": model, "digest": hashlib.sha256(data).hexdigest(), "blobs": blobs}


def _manifest(url: str) -> bytes:
    try:
        return _get(url, _ACCEPT)
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        token = _token(error.headers.get("WWW-Authenticate", ""), url)
        return _get(url, {**_ACCEPT, "Authorization": f"Bearer {token}"})


def _get(url: str, headers: Mapping[str, str]) -> bytes:
    # Go asks no proxy for what is on this machine (httpproxy.Config.useProxy)
    host = urllib.parse.urlsplit(url).hostname or ""
    near = host == "localhost" or host.startswith("127.") or host == "::1"
    opener = urllib.request.build_opener(*[urllib.request.ProxyHandler({})] if near else [])
    request = urllib.request.Request(url)
    for name, value in headers.items():
        request.add_unredirected_header(name, value)  # a token is for nobody whom a registry names
    with opener.open(request, timeout=SECONDS) as answer:
        data = answer.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError("the answer is too long for a manifest")
    return bytes(data)


def _token(challenge: str, url: str) -> str:
    """What a key is given: the question is signed with it."""
    said = urllib.request.parse_keqv_list(urllib.request.parse_http_list(challenge.partition(" ")[2]))
    realm = urllib.parse.urlsplit(said["realm"])
    if realm.netloc != urllib.parse.urlsplit(url).netloc:
        raise ValueError("the realm is another host's")
    values = [*urllib.parse.parse_qsl(realm.query), ("service", said.get("service", ""))]
    values += [("scope", scope) for scope in said.get("scope", "").split(" ")]
    values += [("ts", str(int(time.time()))), ("nonce", secrets.token_urlsafe(16))]
    asked = realm._replace(query=urllib.parse.urlencode(values)).geturl()
    nothing = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
    answer = json.loads(_get(asked, {"Authorization": _signature(f"GET,{asked},{nothing}".encode())}))
    return str(answer["token"])


def _signature(data: bytes) -> str:
    path, until = Path(os.environ["HOME"], _KEY), time.monotonic() + SECONDS
    while not path.exists() and time.monotonic() < until:  # the server makes it when it starts
        time.sleep(0.05)
    public, seed = _halves(path.read_text())
    return f"{base64.b64encode(public).decode()}:{base64.b64encode(_signed(seed, data)).decode()}"


def _halves(text: str) -> tuple[bytes, bytes]:
    """The public half and the seed of an OpenSSH key without a passphrase (PROTOCOL.key in OpenSSH)."""
    rows = text.strip().splitlines()
    data = base64.b64decode("".join(rows[1:-1]))

    def words(at: int) -> tuple[bytes, int]:
        (length,) = struct.unpack_from(">I", data, at)
        return data[at + 4 : at + 4 + length], at + 4 + length

    at = data.index(b"\0") + 1
    for _ in range(3):  # cipher, key derivation, its options
        _, at = words(at)
    public, at = words(at + 4)
    at += 4 + 8  # the length of what is private, two check numbers
    for _ in range(2):  # type, public half
        _, at = words(at)
    private, _ = words(at)
    return public, private[:32]


def _signed(seed: bytes, data: bytes) -> bytes:
    """By the library that Python's TLS stands on, which has no module for it."""
    import ssl  # noqa: F401  loads it

    with open("/proc/self/maps") as maps:
        path = next(line.split()[-1] for line in maps if "/libcrypto" in line)
    crypto, nothing = ctypes.CDLL(path), ctypes.c_void_p(None)
    for name in ("EVP_PKEY_new_raw_private_key", "EVP_MD_CTX_new"):
        getattr(crypto, name).restype = ctypes.c_void_p
    key = ctypes.c_void_p(crypto.EVP_PKEY_new_raw_private_key(_ED25519, nothing, seed, ctypes.c_size_t(len(seed))))
    context = ctypes.c_void_p(crypto.EVP_MD_CTX_new())
    signature, length = ctypes.create_string_buffer(64), ctypes.c_size_t(64)
    done = crypto.EVP_DigestSignInit(context, nothing, nothing, nothing, key) == 1 and crypto.EVP_DigestSign(
        context, signature, ctypes.byref(length), data, ctypes.c_size_t(len(data))
    )
    if done != 1:
        raise OSError("the key signs nothing")
    return signature.raw[: length.value]


if __name__ == "__main__":
    main(sys.argv[1])
