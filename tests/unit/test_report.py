"""Plans, outcomes, diffs and cards as a person reads them, and the proofs' JSON."""

from textwrap import dedent

import pytest

from ollamactl import report
from ollamactl.errors import Problem, Severity
from ollamactl.facts import Gpu, Vendor
from ollamactl.files import File, FileKind
from ollamactl.model import TARGET, Instance
from ollamactl.observed import Active, PortHolder, UnitState
from ollamactl.outcome import Outcome
from ollamactl.planning.plan import ORDER, Plan, Step, StepKind
from ollamactl.proving.judge import judge
from ollamactl.proving.proof import Answers, Evidence, Expected, Proof

UNIT = "ollama@a.service"
PATH = "/etc/systemd/system/ollama@a.service.d/10-ollamactl.conf"


def text(block: str) -> str:
    return dedent(block).strip("\n")


def plan(*steps: Step) -> Plan:
    return Plan(steps=tuple(sorted(steps, key=lambda step: ORDER[step.kind])))


def step(kind: StepKind, subject: str = UNIT, cause: str = "", instance: str = "a") -> Step:
    return Step(kind=kind, subject=subject, cause=cause, instance=instance)


def write(after: str, before: str | None = None, kind: FileKind = FileKind.DROP_IN, path: str = PATH) -> Step:
    file = File(path=path, data=after.encode(), kind=kind, instance="a")
    data = None if before is None else before.encode()
    cause = "new" if before is None else "context_length 8192 -> 4096"
    return Step(kind=StepKind.WRITE, subject=path, cause=cause, instance="a", file=file, before=data)


def remove(before: str, path: str = "/etc/old.conf") -> Step:
    return Step(kind=StepKind.REMOVE, subject=path, cause="no longer in the spec", before=before.encode())


CHANGE = plan(
    write("[Service]\nNice=4\n", "[Service]\nNice=5\n"),
    remove("[Unit]\n"),
    step(StepKind.ENABLE, cause="starts at boot"),
    step(StepKind.DISABLE, "ollama@old.service", "no longer in the spec", "old"),
    step(StepKind.STOP, "ollama@old.service", "no longer in the spec", "old"),
    step(StepKind.RELOAD, "systemd", "1 file written", ""),
    step(StepKind.RESTART, cause="context_length 8192 -> 4096"),
    step(StepKind.START, TARGET, "it is not active", ""),
    step(StepKind.WAIT, cause="until 127.0.0.1:1 answers"),
    step(StepKind.VERIFY),
)


def test_a_plan_is_a_table_with_signs_and_a_summary() -> None:
    assert report.plan_text(CHANGE) == text(
        """
        ~ write    /etc/systemd/system/ollama@a.service.d/10-ollamactl.conf  context_length 8192 -> 4096
        - stop     ollama@old.service                                        no longer in the spec
        - disable  ollama@old.service                                        no longer in the spec
        + enable   ollama@a.service                                          starts at boot
        - remove   /etc/old.conf                                             no longer in the spec
          reload   systemd                                                   1 file written
        ~ restart  ollama@a.service                                          context_length 8192 -> 4096
        + start    ollama-fleet.target                                       it is not active
          wait     ollama@a.service                                          until 127.0.0.1:1 answers
          verify   a

        Plan: 1 to restart, 1 to stop, 1 file to write, 1 file to remove.
        """
    )


def test_a_plan_without_changes_says_so_though_it_would_verify() -> None:
    assert report.plan_text(plan(step(StepKind.VERIFY))) == "No changes: the host matches the spec."


def test_a_new_file_is_an_addition() -> None:
    assert report.plan_text(plan(write("x\n"))).startswith("+ write ")


def test_a_plan_of_links_alone_still_has_a_summary() -> None:
    assert report.plan_text(plan(step(StepKind.ENABLE))).endswith("\nPlan: nothing to start or stop.")


def test_diff_comes_first() -> None:
    assert report.plan_text(CHANGE, diff=True).partition("\n~ write")[0] == text(
        f"""
        --- a{PATH}
        +++ b{PATH}
        @@ -1,2 +1,2 @@
         [Service]
        -Nice=5
        +Nice=4
        --- a/etc/old.conf
        +++ b/etc/old.conf
        @@ -1 +0,0 @@
        -[Unit]
        """
    )


def proof(name: str, *, ok: bool = True, looked: bool = True) -> Proof:
    instance = Instance(name=name, port=1, models=())
    holder = PortHolder(address="127.0.0.1", port=1, pid=700)
    unit = UnitState(name=instance.unit, active=Active.ACTIVE, sub_state="running")
    answers = Answers(version="1") if ok else Answers(failure="connection refused")
    seen = Evidence(unit=unit, answers=answers, holder=holder, holder_is_ours=looked or None)
    return judge(instance, Expected(), seen)


def last(outcome: Outcome) -> str:
    return report.outcome_text(outcome, look="ollamactl status").splitlines()[-1]


START = step(StepKind.START)
WHY = "What stands above says why; `ollamactl status` shows the state now."


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(proofs=(proof("a"), proof("b"))), "Nothing to do; 2 of 2 servers proved."),
        (Outcome(proofs=(proof("a"),)), "Nothing to do; 1 of 1 server proved."),
        (
            Outcome(proofs=(proof("a"), proof("b", ok=False))),
            f"FAILED: 1 of 2 servers proved; nothing was changed. {WHY}",
        ),
        (Outcome(), "Nothing to do."),
        (
            Outcome(done=list(CHANGE.steps), proofs=(proof("a"),)),
            "Done: 1 restarted, 1 stopped, 1 file written, 1 file removed; 1 of 1 server proved.",
        ),
        (Outcome(done=[START, START, write("x"), write("y")]), "Done: 2 started, 2 files written."),
        (Outcome(done=[step(StepKind.ENABLE), step(StepKind.DISABLE)]), "Done: 2 links changed."),
        (Outcome(done=[step(StepKind.RELOAD, "systemd", instance="")]), "Done: systemd has read its files again."),
        (Outcome(done=[step(StepKind.START, TARGET, instance="")]), "Done: ollama-fleet.target started."),
        (
            Outcome(done=[START], failed=[START], problems=[Problem(message="x")], proofs=(proof("a", ok=False),)),
            f"FAILED: 0 of 1 server proved; 1 started, 1 failed. {WHY}",
        ),
        (Outcome(complete=False, problems=[Problem(message="x")]), f"FAILED: nothing was changed. {WHY}"),
        (
            Outcome(complete=False, done=[write("x")], problems=[Problem(message="x")]),
            f"FAILED: broken off; done so far: 1 file written. {WHY}",
        ),
        (
            Outcome(complete=False, failed=[step(StepKind.STOP)], problems=[Problem(message="x")]),
            f"FAILED: broken off; done so far: nothing, 1 failed. {WHY}",
        ),
        (Outcome(idle="2 already stopped"), "Nothing to do: 2 already stopped."),
        (
            Outcome(done=[START], idle="1 already running", proofs=(proof("a"), proof("b"))),
            "Done: 1 started, 1 already running; 2 of 2 servers proved.",
        ),
        (
            Outcome(idle="1 already running", proofs=(proof("a", ok=False),)),
            f"FAILED: 0 of 1 server proved; nothing was changed, 1 already running. {WHY}",
        ),
    ],
)
def test_the_last_line_of_an_apply_says_what_became_of_it(outcome: Outcome, words: str) -> None:
    assert last(outcome) == words


def test_proofs_alone_end_with_their_number() -> None:
    assert report.proofs_text([proof("a"), proof("b")]).splitlines()[-1] == "2 of 2 servers proved."
    failed = report.proofs_text([proof("a"), proof("b", ok=False)]).splitlines()[-1]
    assert failed == "FAILED: 1 of 2 servers proved. What stands above says why."
    beside = report.proofs_text([proof("a")], errors=2).splitlines()[-1]
    assert beside == "FAILED: 1 of 1 server proved, but with 2 errors above. What stands above says why."
    assert report.proofs_text([]) == "Nothing to prove: no server is meant to run."


def test_an_image_has_no_status_to_look_at() -> None:
    outcome = Outcome(complete=False, problems=[Problem(message="x")])
    assert report.outcome_text(outcome) == "FAILED: nothing was changed. What stands above says why."


def test_what_is_refused_says_how_many_errors_stand_above() -> None:
    error, note = Problem(message="x"), Problem(message="y", severity=Severity.NOTE)
    assert report.refused([error, note], "apply would refuse this:") == "apply would refuse this: 1 error above."
    assert report.refused([error, error], "FAILED:") == "FAILED: 2 errors above."


def test_what_nobody_could_look_at_is_not_called_proved() -> None:
    lines = report.proofs_text([proof("a"), proof("b", looked=False)]).splitlines()
    assert lines == [
        "ok    a  127.0.0.1:1  unit, http, listener, version, models",
        "ok    b  127.0.0.1:1  unit, http, version, models",
        "2 of 2 servers answered as they should.",
    ]


def test_who_could_not_be_asked_is_told_and_counted_as_such() -> None:
    instance, unit = Instance(name="b", port=1, models=()), UnitState(name="ollama@b.service", active=Active.ACTIVE)
    hidden = judge(instance, Expected(), Evidence(unit=unit, answers=Answers(hidden="only root may enter")))
    assert report.proofs_text([proof("a"), hidden]).splitlines() == [
        "ok    a  127.0.0.1:1  unit, http, listener, version, models",
        "ok    b  127.0.0.1:1  unit",
        "      http: not asked: only root may enter",
        "1 of 2 servers answered as they should, 1 could not be asked.",
    ]


def test_files_are_shown_whole_but_for_secrets_and_manifests() -> None:
    files = [
        File(path="/etc/a.conf", data=b"[Unit]\n", kind=FileKind.TEMPLATE),
        File(path="/var/a.env", data=b"TOKEN=hunter2\n", kind=FileKind.SECRETS, mode=0o600),
        File(path="/var/m", data=b"{}", kind=FileKind.VIEW),
    ]
    assert report.files_text(files) == text(
        """
        ==> /etc/a.conf <==
        [Unit]

        ==> /var/a.env <==
        (secrets, 14 bytes, mode 0600)

        ==> /var/m <==
        (view, 2 bytes, mode 0644)
        """
    )
    assert [row["text"] for row in report.files_data(files)] == ["[Unit]\n", None, None]


def test_cards_are_shown_with_what_to_write() -> None:
    cards = [
        Gpu(vendor=Vendor.NVIDIA, index=0, pci="0000:01:00.0", uuid="GPU-5c1a", name="RTX 4090", memory=24 << 30),
        Gpu(vendor=Vendor.AMD, index=0, pci="0000:41:00.0"),
    ]
    assert report.cards_text(cards) == text(
        """
        nvidia 0  0000:01:00.0  RTX 4090  24 GiB
            gpus: [GPU-5c1a]
        amd 0  0000:41:00.0  unnamed  unknown memory
            gpus: [0000:41:00.0]
        """
    )
    assert report.cards_text([]) == "No NVIDIA or AMD card found; servers compute on the CPU (gpus: none)."


def test_a_proof_as_json_holds_every_check_with_both_sides() -> None:
    (row,) = report.proof_data([proof("a", ok=False)])
    assert row == {
        "instance": "a",
        "unit": UNIT,
        "listen": "127.0.0.1:1",
        "ok": False,
        "version": None,
        "models": {},
        "checks": [
            {
                "check": "unit",
                "ok": True,
                "expected": "active (running), without restarts",
                "found": "active (running)",
                "hint": "",
            },
            {
                "check": "http",
                "ok": False,
                "expected": "an answer of Ollama's on 127.0.0.1:1",
                "found": "connection refused",
                "hint": "see what it does: journalctl -u ollama@a.service -n 50; if it hangs: sudo ollamactl restart a",
            },
        ],
        "journal": [],
    }


def test_a_card_as_json_has_its_memory_in_bytes() -> None:
    card = Gpu(vendor=Vendor.NVIDIA, index=1, pci="0000:01:00.0", uuid="GPU-5c1a", name="RTX", memory=1 << 30, minor=3)
    assert report.card_data(card) == {
        "vendor": "nvidia",
        "index": 1,
        "uuid": "GPU-5c1a",
        "pci": "0000:01:00.0",
        "name": "RTX",
        "memory": 1 << 30,
        "minor": 3,
        "spec": "gpus: [GPU-5c1a]",
    }
