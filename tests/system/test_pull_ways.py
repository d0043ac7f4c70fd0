"""What stands between a puller and a registry: a proxy, an authority of one's own, and all that these refuse."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator

import pytest

from tests.lab.container import end
from tests.system.depot import UNIT, Depot, depot
from tests.system.test_pull import gone, left

SPEC = """
    version: 1
    pull: {{insecure: ["registry.test:5003", "127.0.0.1:5003"], environment: {{{variables}}}}}
    instances: {{}}
"""
ODD, TLS, MUTE = (f"registry.test:{port}/library" for port in (5003, 5004, 5006))
NAME = "w"
AUTHORITY = {"SSL_CERT_FILE": "/etc/ours/ca.pem"}
SECURE, PLAIN = {"HTTPS_PROXY": "http://127.0.0.1:5005"}, {"HTTP_PROXY": "http://127.0.0.1:5005"}
NOBODY = {"HTTPS_PROXY": "http://127.0.0.1:5009"}
SIZE = 500_000


@pytest.fixture(scope="module")
def there() -> Iterator[Depot]:
    """A machine for all tests here."""
    with depot() as host:
        host.portal()
        host.heavy(NAME, SIZE)
        yield host


@pytest.mark.parametrize(
    ("variables", "where", "proxied"),
    [
        (AUTHORITY, TLS, set()),
        ({**AUTHORITY, **SECURE}, TLS, {"CONNECT registry.test:5004"}),
        (PLAIN, ODD, {"GET http://registry.test:5003/v2", "HEAD http://registry.test:5003/v2"}),
    ],
)
def test_a_model_comes_through_a_proxy_and_by_an_authority_of_ones_own(
    there: Depot, variables: dict[str, str], where: str, proxied: set[str]
) -> None:
    name = f"way{len(variables)}{len(proxied)}"
    there.heavy(name, SIZE)
    there.spec(SPEC.format(variables=json.dumps(variables)[1:-1]))
    there.proxied()

    ran = there.json("pull", f"{where}/{name}")

    assert (ran.code, ran.changed) == (0, True), ran.errors
    told = json.loads(ran.stderr.splitlines()[0])
    assert (told["phase"], told["total"] // 10) == ("size", SIZE // 10), "sizes are asked for the same way"
    assert {line.partition("/library")[0].strip() for line in there.proxied()} == proxied


def test_a_password_for_the_proxy_is_a_secret(there: Depot) -> None:
    there.heavy("secret", SIZE)
    spec = SPEC.format(variables="")
    there.spec(spec.replace("environment: {}", "secrets: {HTTP_PROXY: 'http://me:hush@127.0.0.1:5005'}"))
    there.proxied()
    there.machine.run("install -o nobody /dev/null /tmp/seen")
    watch = f"while :; do systemctl show --all {UNIT}; ps -Ao args; sleep .05; done >/tmp/seen"
    watcher = there.machine.popen(watch, user="nobody")
    try:
        ran = there.json("pull", f"{ODD}/secret")
    finally:
        end(watcher)
    seen = there.machine.run("cat /tmp/seen").stdout

    assert (ran.code, ran.changed) == (0, True), ran.errors
    assert {line.split(" ", 2)[2] for line in there.proxied()} == {"Basic " + b64encode(b"me:hush").decode()}
    assert ("MainPID=" in seen, "hush" in seen) == (True, False)


FAILURES = [
    ({"status": 429, "body": "slow down"}, {}, ODD, "has had too many requests from here: 429: slow down", "wait"),
    ({"status": 503}, {}, ODD, "has trouble of its own: 503", "try again later"),
    ({"status": 200, "body": "<html>Log in"}, {}, ODD, "no registry's answer", "a proxy, or a page to log in"),
    ({"status": 401}, {}, ODD, "does not let us have", "identity: true"),
    ({"drop": 1}, {}, ODD, "broke off", "goes on where it stopped"),
    ({"status": 404}, {}, ODD, "has no", "look at its name"),
    ({"status": 503}, AUTHORITY, TLS, "has trouble of its own", "try again later"),
    ({}, {}, TLS, "shows a certificate that is not trusted here", "SSL_CERT_FILE"),
    ({"refuse": 407}, {**AUTHORITY, **SECURE}, TLS, "the proxy does not let us through", "HTTPS_PROXY"),
    ({"refuse": 403}, {**AUTHORITY, **SECURE}, TLS, "the proxy does not let us through", "HTTPS_PROXY"),
    ({"refuse": 407}, PLAIN, ODD, "the proxy does not let us through", "HTTP_PROXY"),
    ({}, NOBODY, TLS, "the proxy is not reached", "HTTPS_PROXY"),
    ({}, {}, "nowhere.test/library", "the name nowhere.test is not known here", "getent hosts nowhere.test"),
    ({}, {}, MUTE, "cannot be reached", "HTTPS_PROXY"),
]  # fmt: skip


@pytest.mark.parametrize(("mood", "variables", "where", "says", "hint"), FAILURES)
def test_what_is_refused_is_told_and_the_store_is_as_before(
    there: Depot, mood: dict[str, int | str], variables: dict[str, str], where: str, says: str, hint: str
) -> None:
    there.spec(SPEC.format(variables=json.dumps(variables)[1:-1]))
    there.mood(**mood)
    before, model = left(there), f"{where}/{NAME}:latest"

    ran = there.json("pull", model, "--timeout", "40s")

    there.mood()
    assert (ran.code, ran.changed, len(ran.errors)) == (1, False, 1)
    assert (says in ran.errors[0], model in ran.errors[0], hint in ran.hints[0]) == (True, True, True), (
        ran.errors, ran.hints,
    )  # fmt: skip
    assert (left(there), gone(there)) == (before, True)
