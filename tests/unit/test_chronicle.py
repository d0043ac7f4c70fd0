"""The history in words: the newest first, damage in its place, and one generation with its plan and its end."""

from dataclasses import replace
from pathlib import PurePath

from ollamactl import chronicle
from ollamactl.generation import Ending, Generation
from ollamactl.history import Damaged

FIRST = Generation(
    number=1, command="apply", when="2026-11-24T10:00:00+0000", who="ada", source="/etc/f.yaml", instances=("a", "b"),
    ending=Ending.DONE, ended="2026-11-24T10:00:02+0000", versions={"ollamactl": "0.1.0", "systemd": "252"},
    steps=({"step": "start", "subject": "ollama@a.service", "cause": "new", "instance": "a"},
           {"step": "verify", "subject": "ollama@a.service", "cause": "proves", "instance": "a"}),
)  # fmt: skip
BACK = Generation(number=3, command="rollback", of=1, when="2026-11-24T11:00:00+0000", who="bob", ending=Ending.UNDONE)


def test_the_newest_stands_first_and_damage_is_told() -> None:
    lines = chronicle.table([FIRST, Damaged(number=2, why="no JSON"), BACK]).splitlines()
    assert [line.split()[0] for line in lines] == ["GENERATION", "3", "2", "1"]
    assert lines[1].endswith("bob  rollback to 1  rolled back  none")
    assert lines[2].endswith("damaged      no JSON")
    assert lines[3].endswith("ada  apply          done         a, b")


def test_an_empty_history_says_so() -> None:
    assert chronicle.table([]) == "No change has been recorded yet."


def test_one_generation_with_its_plan() -> None:
    text = chronicle.told(FIRST, PurePath("/var/lib/ollamactl/generations/1"))
    assert "  spec      /etc/f.yaml" in text
    assert "  versions  ollamactl 0.1.0, systemd 252" in text
    assert "  result    done and proved" in text
    assert "  start    ollama@a.service  new" in text
    assert "verify" not in text


def test_of_secrets_it_tells_a_digest() -> None:
    folder = PurePath("/x")
    assert "secrets" not in chronicle.told(FIRST, folder)
    secret = replace(FIRST, secrets={"a": "1a2b3c4d"})
    assert "  secrets   a 1a2b3c4d" in chronicle.told(secret, folder)
    assert chronicle.data(secret, folder)["secrets"] == {"a": "1a2b3c4d"}


def test_a_failed_proof_is_told_with_its_journal() -> None:
    proof = {
        "instance": "a", "listen": "127.0.0.1:1", "ok": False, "journal": ["panic"],
        "checks": [{"check": "unit", "ok": False, "found": "failed"}, {"check": "http", "ok": True, "found": "x"}],
    }  # fmt: skip
    failed = Generation(number=4, command="apply", when="now", who="ada", proofs=(proof,), problems=("it failed",))
    lines = chronicle.told(failed, PurePath("/x")).splitlines()
    at = lines.index("  FAIL  a  127.0.0.1:1")
    assert lines[at + 1 :] == ["        unit: failed", "        | panic", "", "it failed"]
    assert "  result    unfinished: it is at work now, or was killed; the next apply goes on from there" in lines


def test_rows_as_json() -> None:
    assert chronicle.row_data(Damaged(number=2, why="no JSON")) == {"number": 2, "result": "damaged", "why": "no JSON"}
    row = chronicle.data(BACK, PurePath("/x"))
    assert (row["number"], row["of"], row["result"], row["spec"], row["ended"]) == (3, 1, "rolled back", None, None)
    assert row["folder"] == "/x"
