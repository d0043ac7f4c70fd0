"""What a pull tells, what its failures mean, which models are meant, and in which unit it runs."""

import json
import re

import pytest

from ollamactl.errors import UsageError
from ollamactl.facts import Facts, Layout
from ollamactl.model import TEMPLATE, Fleet, Instance
from ollamactl.pulling import choice, moment, unit
from ollamactl.pulling.meter import Meter
from ollamactl.pulling.moment import Moment, Phase, PullError
from ollamactl.units import unitfile
from ollamactl.units.render import render

FLEET = Fleet(
    instances=(
        Instance(name="llama3", port=1, models=("llama3:latest",)),
        Instance(name="small", port=2, models=("qwen:latest", "llama3:latest")),
    )
)
OWN = {
    "Type", "ExecStart", "TimeoutStartSec", "SyslogIdentifier", "StateDirectory", "StateDirectoryMode",
    "WorkingDirectory", "Environment", "UMask", "IPAddressDeny", "DeviceAllow",
}  # fmt: skip
"""What is different in the template: a server's own, its cards, its network."""


def template(*, user: bool) -> list[str]:
    facts = Facts(layout=Layout(user=user))
    text = next(file.data.decode() for file in render(Fleet(), facts) if file.path.endswith(TEMPLATE))
    rows = [each for each in unitfile.parse(text) if each.section == "Service" and each.key not in OWN]
    # Cards' drivers are for servers that have cards
    return [f"{row.key}={row.value}" for row in rows if "/run/nvidia" not in row.value]


@pytest.mark.parametrize("user", [False, True])
def test_the_unit_is_as_closed_as_those_of_servers(user: bool) -> None:
    words = unit.command(unit.Places(folder="/run/x"), "/usr/bin/ollama", user=user, key=False)
    properties = [word.removeprefix("--property=") for word in words if word.startswith("--property=")]

    assert [line for line in template(user=user) if line not in properties] == []
    assert ("--user" in words, "UMask=0022" in properties) == (user, True)


def test_its_program_and_its_key_are_shown_where_the_unit_would_not_see_them() -> None:
    places = unit.Places(folder="/run/x")
    words = unit.command(places, "/home/me/$1/bin/ollama", user=False, key=True)

    assert words[-1] == "/run/ollamactl-pull/bin/ollama"
    assert any(word.startswith("--property=BindReadOnlyPaths=/run/x/program:") for word in words)
    assert "--property=BindPaths=/run/x/home:/run/ollamactl-pull/home" in words
    assert unit.command(places, "/home/me/$1/bin/ollama", user=True, key=True)[-1] == "/home/me/$$1/bin/ollama"
    assert unit.libraries("/home/me/bin/ollama") == "/home/me/lib/ollama"
    homes = [unit.home(places, user=user, key=key) for user in (False, True) for key in (False, True)]
    assert homes == ["/tmp", "/run/ollamactl-pull/home", places.temporary, places.home]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ("llama3:latest", "qwen:latest")),
        (("small",), ("qwen:latest", "llama3:latest")),
        (("llama3:latest", "hf.co/acme/new:q4"), ("llama3:latest", "hf.co/acme/new:q4")),
        (("mistral", "llama3"), ("mistral:latest", "llama3:latest")),
    ],
)
def test_an_instance_goes_before_a_model_of_its_name(words: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert choice.models(FLEET, words) == found


@pytest.mark.parametrize(("word", "meant"), [("smal!", "did you mean small?"), ("x:cloud", "name a model that the")])
def test_a_word_that_is_neither_is_refused(word: str, meant: str) -> None:
    with pytest.raises(UsageError) as error:
        choice.models(FLEET, [word])
    assert error.value.hint.startswith(meant)


def test_a_spec_is_told_from_names_by_its_spelling() -> None:
    assert [choice.is_spec(word) for word in ("fleet.yaml", "./x", "/etc/x", "-")] == [True] * 4
    assert [choice.is_spec(word) for word in ("llama3", "acme/coder:7b", "hf.co/a/b")] == [False] * 3


@pytest.mark.parametrize(
    ("row", "phase", "completed"),
    [
        ({"status": "pulling manifest"}, Phase.ASKING, 0),
        ({"status": "pulling abc", "digest": "sha256:abc", "total": 9, "completed": 4}, Phase.PULLING, 4),
        ({"status": "verifying sha256 digest"}, Phase.CHECKING, 0),
        ({"status": "success"}, Phase.DONE, 0),
        ({"status": "something new", "total": "x"}, Phase.MAKING, 0),
    ],
)
def test_a_line_of_the_stream_is_a_moment(row: dict[str, object], phase: Phase, completed: int) -> None:
    found = moment.read("m", json.dumps(row).encode())

    assert (found.phase, found.completed, found.model) == (phase, completed, "m")


@pytest.mark.parametrize("line", [b"<html>", b"[1]", b'{"error": "x"}'])
def test_a_line_that_is_none_ends_the_pull(line: bytes) -> None:
    with pytest.raises(PullError):
        moment.read("m", line)


GO = "pull model manifest: "


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (f"{GO}file does not exist", "reg:5000 has no reg:5000/a/b:c", "name and tag"),
        ("digest mismatch, file must be downloaded again: want x, got y", "something else than", "nothing of it"),
        ("write /x: no space left on device", "the disk is full", "make room"),
        (f"{GO}401: ", "does not let us have", "identity: true"),
        ("unauthorized: access denied", "does not let us have", "ollamactl key"),
        ("http: server gave HTTP response to HTTPS client", "speaks HTTP", "`pull: {insecure: [reg:5000]}`"),
        ("tls: failed to verify certificate: x509: unknown", "certificate", "SSL_CERT_FILE"),
        ("http: no Location header in response", "sends layers itself", "redirect"),
        ("dial tcp: lookup reg on [::1]:53: read udp: connection refused", "name reg:5000 is not known", "getent"),
        ("dial tcp 10.0.0.1:5000: connect: connection refused", "does not answer", "goes on where it stopped"),
        ("dial tcp: i/o timeout", "cannot be reached", "HTTPS_PROXY"),
        ("max retries exceeded: unexpected EOF", "broke off again and again", "goes on where it stopped"),
        (f"{GO}429: slow <br>\n down", "too many requests from here: 429: slow <br> down", "wait"),
        (f"{GO}502: <html>", "has trouble of its own: 502: <html>", "try again later"),
        ("503:", "has trouble of its own: 503", "try again later"),
        (f"{GO}407: who are you?", "the proxy does not let us through", "secrets"),
        ('Get "https://reg:5000/v2/": Bad Gateway', "the proxy does not let us through", "HTTPS_PROXY"),
        (
            "proxyconnect tcp: dial tcp 10.0.0.1:3128: connect: connection refused",
            "proxy is not reached",
            "HTTPS_PROXY",
        ),
        (f"{GO}invalid character '<' looking for beginning of value", "no registry's answer", "a page to log in"),
        ('realm host "" does not match original host "x"', "does not let us have", "ollamactl key"),
        ("remote error: tls: handshake failure", "find no way to speak TLS", "openssl s_client -connect reg:5000"),
        ("net/http: TLS handshake timeout", "cannot be reached", "HTTPS_PROXY"),
        ("dial tcp: lookup reg: Temporary failure in name resolution", "name reg:5000 is not known", "getent"),
        ("x" * 5000, "x" * 300 + "...", "journalctl"),
        ("a moon is missing", "was not pulled: a moon is missing", "journalctl -u ollamactl-pull"),
    ],
)
def test_a_failure_says_what_it_means_and_what_to_do(error: str, message: str, hint: str) -> None:
    found = moment.failure("reg:5000/a/b:c", error)

    assert message in str(found)
    assert hint in found.hint
    assert "reg:5000/a/b:c" in str(found)
    assert GO not in str(found)


def test_a_model_without_a_registry_is_ollamas_own() -> None:
    assert str(moment.failure("acme/x:y", "file does not exist")) == "registry.ollama.ai has no acme/x:y"


def test_a_log_gets_the_ends_of_a_layer_and_now_and_then_a_line_between() -> None:
    def at(completed: int, now: float) -> str:
        row = Moment(model="m", phase=Phase.PULLING, digest="sha256:" + "a" * 64, total=10**9, completed=completed)
        return meter.line(row, now)

    meter = Meter()
    lines = [
        meter.line(Moment(model="m", phase=Phase.SIZE, total=4_700_000_000), 0),
        meter.line(Moment(model="m", phase=Phase.ASKING), 0),
        meter.line(Moment(model="m", phase=Phase.ASKING), 0.1),
        at(10**8, 1),
        at(2 * 10**8, 2),
        at(6 * 10**8, 11.5),
        at(10**9, 21),
        at(10**9, 22),
        meter.line(Moment(model="m", phase=Phase.DONE, total=4_700_000_000), 23),
    ]
    assert lines == [
        "m: 4.7 GB to come",
        "m: asking the registry",
        "",
        f"m: {'a' * 12}: 10% of 1.0 GB",
        "",
        f"m: {'a' * 12}: 60% of 1.0 GB at 48 MB/s, 8s left",
        f"m: {'a' * 12}: all 1.0 GB at 45 MB/s",
        "",
        "m: in the store, 4.7 GB",
    ]
    there = Moment(model="m", phase=Phase.PULLING, digest="sha256:b", total=5, completed=5)
    assert (meter.line(there, 30), meter.line(there, 60)) == ("", "")


def test_the_script_of_the_unit_is_one_that_a_shell_reads() -> None:
    words = unit.command(unit.Places(folder="/run/x"), "/usr/bin/ollama", user=True, key=False)
    assert re.search(r"(?<!\$)\$(?!\$)", " ".join(words).replace("$$", "")) is None
