"""What doctor prints."""

from ollamactl.doctor import judge, tell
from ollamactl.doctor.host import Host
from ollamactl.errors import Severity
from tests.unit.doctor_values import server


def told(*variables: dict[str, str], **host: object) -> str:
    seen = Host(servers=tuple(map(server, variables)), **host)  # type: ignore[arg-type]
    return tell.text(judge.findings(seen), seen)


def test_a_finding_is_a_block_and_the_end_counts() -> None:
    assert told({"OLLAMA_VULKAN": "off"}) == (
        """\
error: ollama.service: OLLAMA_VULKAN is on: Ollama takes every value that it cannot read for true [boolean-opposite]
    found: OLLAMA_VULKAN=off in /etc/systemd/system/ollama.service
    mend:  `sudo systemctl edit ollama.service` with the lines below, then `sudo systemctl restart ollama.service`; \
or 1 where on is meant
        [Service]
        Environment=OLLAMA_VULKAN=0

1 trap found, 1 error; 1 server looked at."""
    )


def test_nothing_found() -> None:
    assert told() == "No known trap, and no Ollama server."
    assert told({}) == "No known trap found; 1 server looked at."


def test_json_has_nothing_where_nothing_is_known() -> None:
    (finding,) = judge.findings(Host(servers=(server({"OLLAMA_X": "1"}),)))

    assert tell.data(finding) == {
        "id": "unknown-variable",
        "severity": "warning",
        "unit": "ollama.service",
        "path": None,
        "message": "OLLAMA_X does nothing: Ollama reads no variable of that name",
        "evidence": ["OLLAMA_X is set in /etc/systemd/system/ollama.service"],
        "hint": "`sudo systemctl edit ollama.service` with the lines below, then "
        "`sudo systemctl restart ollama.service`",
        "drop_in": "[Service]\nUnsetEnvironment=OLLAMA_X\n",
    }


def test_what_was_not_seen_is_noted_with_one_hint() -> None:
    one, two = tell.unseen(Host(unseen=("this", "that")))

    assert [(p.severity, p.message, p.hint) for p in (one, two)] == [
        (Severity.NOTE, "this", ""),
        (Severity.NOTE, "that", "look at all of it: sudo ollamactl doctor"),
    ]
    assert tell.unseen(Host(unseen=("this",), user_manager=True))[0].hint == ""
