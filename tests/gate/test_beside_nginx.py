"""tests/cases/framing.yaml against the gate and nginx; UPDATE_CASES=1 writes anew what each did, for git to show."""

import asyncio
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.gate.beside import Case, through_both
from tests.lab import web

FILE = Path(__file__).parents[1] / "cases" / "framing.yaml"
UPDATE = os.environ.get("UPDATE_CASES") == "1"


def load() -> list[dict[str, Any]]:
    cases = yaml.safe_load(FILE.read_text())
    assert len({case["name"] for case in cases}) == len(cases)
    return list(cases)


def bytes_of(text: str) -> bytes:
    """Letters up to U+00FF are bytes; `<N*TEXT>` is N times the text."""
    while "<" in text:
        before, _, rest = text.partition("<")
        times, _, rest = rest.partition("*")
        repeated, _, after = rest.partition(">")
        text = before + int(times) * repeated + after
    return text.encode("latin-1")


def test_the_gate_and_nginx_do_what_is_on_file() -> None:
    cases = load()
    asked = [
        Case(send=bytes_of(case["send"]), **({"answer": bytes_of(case["answer"])} if "answer" in case else {}))
        for case in cases
    ]
    with tempfile.TemporaryDirectory() as scratch:
        done = asyncio.run(through_both(asked, Path(scratch)))
    # Another nginx may have learnt since: what that one does is on file for Debian 12's.
    known = b"nginx/1.22." in subprocess.run([web.nginx(), "-v"], capture_output=True).stderr
    if not known:
        done = [(gate, case["nginx"]) for case, (gate, _) in zip(cases, done, strict=True)]
    now = [{**case, "gate": gate, "nginx": nginx} for case, (gate, nginx) in zip(cases, done, strict=True)]
    if UPDATE:
        FILE.write_text(written(now))
    assert now == cases


def test_each_difference_is_explained() -> None:
    for case in load():
        assert ("why" in case) == (case["gate"] != case["nginx"]), case["name"]


def test_no_request_that_is_refused_has_reached_the_server_whole() -> None:
    """But for those before it on the same connection, which were answered."""
    for case in load():
        answers, *seen = case["gate"]
        whole = [each for each in seen if not each.endswith("BROKEN OFF")]
        refused = any(status in answers for status in ("400", "405", "417", "431", "501", "505"))
        if refused and "answer" not in case:
            assert len(whole) == answers.count("200"), case["name"]


def written(cases: list[dict[str, Any]]) -> str:
    """A comment at the top, then each case with its keys in their order; JSON's strings are YAML's."""
    comment = FILE.read_text().partition("\n- ")[0]
    keys = ("name", "send", "answer", "gate", "nginx", "why")
    lines = [comment]
    for case in cases:
        shown = [f"{key}: {json.dumps(case[key], ensure_ascii=True)}" for key in keys if key in case]
        lines.append("- " + "\n  ".join(shown))
    return "\n".join(lines) + "\n"
