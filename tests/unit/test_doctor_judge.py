"""What doctor judges of values: units, programs, homes; that sound ones are sound, and in which order it tells."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ollamactl.doctor.environ import EnvironmentFile
from ollamactl.doctor.finding import Trap
from ollamactl.doctor.host import Broken, Masked, Stray
from ollamactl.doctor.server import Process
from ollamactl.errors import Severity
from ollamactl.observed import Active
from tests.unit.doctor_values import BINARY, UP, environment, found, only, place, server, traps

SYSTEM = Path(__file__).parents[1] / "system"
OTHER = "other.service"


@pytest.mark.parametrize("trap", list(Trap))
def test_a_test_in_a_container_makes_each_trap_real(trap: Trap) -> None:
    texts = (path.read_text() for path in SYSTEM.glob("test_doctor*.py"))

    assert any(f'"{trap}"' in text for text in texts)


def test_a_sound_server_and_no_server_have_none() -> None:
    assert traps(server()) == traps() == []


def test_errors_stand_first_and_then_by_unit() -> None:
    loose = (Stray(pid=1, command="ollama serve"),)
    late, early = server({"OLLAMA_X": "1", "OLLAMA_VULKAN": "off"}, unit="z.service"), server({"OLLAMA_X": "1"})
    late = replace(late, environment=environment({"OLLAMA_X": "1", "OLLAMA_VULKAN": "off", "OLLAMA_HOST": ":1"}))

    told = [(f.severity, f.unit) for f in found(late, early, loose=loose)]

    assert told == sorted(told, key=lambda pair: (pair[0] is Severity.WARNING, pair[1]))
    assert told[-1][0] is Severity.WARNING


@pytest.mark.parametrize(
    ("state", "seconds", "expected"),
    [
        ({"active": Active.ACTIVATING, "sub_state": "auto-restart"}, None, ["crash-loop"]),
        ({"active": Active.ACTIVATING, "sub_state": "auto-restart-queued"}, None, ["crash-loop"]),
        ({"restarts": 3}, 5.0, ["crash-loop"]),
        ({"restarts": 3}, 61.0, []),
        ({"restarts": 2}, 5.0, []),
        ({"active": Active.FAILED, "sub_state": "failed", "restarts": 5}, None, ["crash-loop"]),
        ({"active": Active.FAILED, "sub_state": "failed"}, None, ["failed"]),
        ({"active": Active.ACTIVATING, "sub_state": "start"}, None, []),
    ],
)
def test_crashes(state: dict[str, Any], seconds: float | None, expected: list[str]) -> None:
    assert traps(server(state=replace(UP, **state), seconds=seconds)) == expected


@pytest.mark.parametrize(
    ("settings", "endless"),
    [
        ({"restart": "no", "limit_interval": 0.0}, False),
        ({"restart": "always", "restart_delay": 3.0}, True),
        ({"restart": "always", "restart_delay": 2.0}, True),
        ({"restart": "always", "restart_delay": 1.9}, False),
        ({"restart": "on-failure", "limit_burst": 0}, True),
        ({"restart": "on-failure", "limit_interval": 0.0}, True),
        ({"restart": "always", "restart_delay": 3.0, "limit_interval": 300.0}, False),
    ],
)
def test_a_start_limit_counts_more_starts_than_fit_into_its_interval(settings: dict[str, Any], endless: bool) -> None:
    assert traps(server(settings=settings)) == (["endless-restart"] if endless else [])


@pytest.mark.parametrize("kind", ["simple", "exec", "idle"])
def test_types_that_do_not_wait(kind: str) -> None:
    assert traps(server(settings={"type": kind})) == []


@pytest.mark.parametrize("mode", ["mixed", "control-group"])
def test_kill_modes_that_reach_runners(mode: str) -> None:
    assert traps(server(settings={"kill_mode": mode})) == []


def test_masks() -> None:
    stock, wanted = Masked(unit="ollama.service", wanted=False), Masked(unit="ollama@x.service", wanted=True)
    other = Masked(unit="ollama@y.service", wanted=False)

    assert [f.unit for f in found(masked=(stock, wanted, other))] == ["ollama.service", "ollama@x.service"]
    assert [f.unit for f in found(server(), masked=(stock, wanted, other))] == ["ollama@x.service"]


def test_a_broken_unit() -> None:
    finding = only(broken=(Broken(unit="ollama.service", evidence=("why",), file="/x"),))

    assert (finding.trap, finding.path, finding.evidence) == (Trap.UNIT_BROKEN, "/x", ("why",))


@pytest.mark.parametrize(
    ("process", "evidence"),
    [
        ({"OLLAMA_VULKAN": "0"}, ()),
        ({}, ("OLLAMA_VULKAN is set in the unit, and not in the process",)),
        ({"OLLAMA_VULKAN": "1"}, ("OLLAMA_VULKAN is another in the unit than in the process",)),
        ({"OLLAMA_VULKAN": "0", "OLLAMA_DEBUG": "1"}, ("OLLAMA_DEBUG is set in the process, and in the unit no more",)),
        ({"OLLAMA_VULKAN": "0", "PATH": "/bin", "HOME": "/srv/ollama"}, ()),
    ],
)
def test_a_process_with_other_variables_than_its_unit(process: dict[str, str], evidence: tuple[str, ...]) -> None:
    usual = {"OLLAMA_NOPRUNE": "1", "OLLAMA_CONTEXT_LENGTH": "8192", "HOME": "/srv/ollama"}
    running = server({"OLLAMA_VULKAN": "0"}, process=Process(environment={**usual, **process}))

    assert tuple(line for finding in found(running) for line in finding.evidence) == evidence
    assert traps(replace(running, process=Process())) == []
    assert traps(replace(running, environment=replace(running.environment, complete=False))) == []
    assert traps(replace(running, state=replace(UP, need_reload=True))) == ["needs-reload"]


@pytest.mark.parametrize(
    ("words", "listen"),
    [
        ("serve", None),
        ("start", None),
        ("serve --port 1", "127.0.0.1:1"),
        ("--host=10.0.0.1 serve", "10.0.0.1:11434"),
        ("serve --host 10.0.0.1 --port=2", "10.0.0.1:2"),
        ("serve here", ""),
    ],
)
def test_options(words: str, listen: str | None) -> None:
    findings = found(server(settings={"argv": (BINARY, *words.split())}))

    assert [f.trap for f in findings] == ([] if listen is None else [Trap.SERVE_OPTION])
    for finding in findings:
        assert re.findall("OLLAMA_HOST=(.*)", finding.mend.drop_in) == ([listen] if listen else [])


def test_what_a_shell_starts_is_not_judged_by_its_words() -> None:
    assert traps(server(settings={"argv": ("/bin/sh", "-c", "ollama serve --port 1")})) == []


def test_a_missing_program_is_mended_by_another_or_by_installing_one() -> None:
    gone = server(program_lacks="is not there", process=Process(same_binary=False))

    assert only(gone, programs=("/usr/bin/ollama",)).mend.drop_in.endswith("ExecStart=/usr/bin/ollama serve\n")
    assert "install Ollama" in only(gone).mend.hint
    assert "the one that runs can't be started again" in only(gone).message


def test_an_old_program_says_its_version_where_it_is_known() -> None:
    assert only(server(process=Process(same_binary=False, version="0.33"))).evidence[0].endswith("version 0.33")
    assert only(server(process=Process(same_binary=False))).evidence[0].endswith("is now")
    assert traps(server(process=Process(same_binary=None))) == []


def test_accounts() -> None:
    finding = only(server(account_missing=True, groups_missing=("g",), uid=None, home=None, settings={"user": "u"}))

    assert finding.trap is Trap.ACCOUNT_MISSING
    assert "useradd --system --create-home --home-dir /var/lib/u u`, `sudo groupadd --system g`" in finding.mend.hint


def test_homes() -> None:
    homeless = server({"HOME": None}, home=None, keys=None)
    assert only(homeless).trap is Trap.NO_HOME
    assert traps(replace(homeless, environment=replace(homeless.environment, complete=False))) == []
    assert traps(server(keys=place("/x/.ollama", there=False), uid=1)) == ["home-closed"]
    assert traps(server(keys=place("/x/.ollama", there=False), uid=None)) == []
    assert traps(server(keys=place("/x/.ollama", mode=0o700), uid=1)) == ["home-closed"]
    assert traps(server(keys=place("/x/.ollama", mode=0o700, uid=1), uid=1)) == []


def test_whoever_shares_a_home_gets_one_but_the_official_service() -> None:
    names = ("a.service", "ollama.service", "ollama@b.service")
    a, stock, b = (
        server({"OLLAMA_HOST": f"127.0.0.1:{port}"}, unit=name, home="/h") for port, name in enumerate(names, 1)
    )

    first, second = found(a, stock, b)

    assert (first.unit, second.unit) == ("a.service", "ollama@b.service")
    assert "StateDirectory=ollama-b-home\nEnvironment=HOME=%S/ollama-b-home\n" in second.mend.drop_in
    assert "Environment=OLLAMA_MODELS=/var/lib/ollama/models\n" in second.mend.drop_in
    assert first.evidence == ("HOME is /h for each of ollama.service, a.service and ollama@b.service",)


def test_strays() -> None:
    stray = Stray(pid=9, command="ollama serve", unit="session-2.scope")

    assert only(loose=(stray,)).evidence == ("pid 9 (ollama serve) of session-2.scope",)
    assert "`sudo kill 9`" in only(orphans=(stray,)).mend.hint
    assert "`kill 9`" in only(orphans=(stray,), user_manager=True).mend.hint


def test_commands_are_those_of_the_manager() -> None:
    users = server({"OLLAMA_VULKAN": "off"}, user_manager=True)

    assert only(users).mend.hint.startswith("`systemctl --user edit ollama.service`")
    assert only(server({"OLLAMA_VULKAN": "off"})).mend.hint.startswith("`sudo systemctl edit ollama.service`")


@pytest.mark.parametrize("state", [{"active": Active.FAILED}, {"restarts": 1}])
def test_a_start_that_was_refused_before_is_allowed_again(state: dict[str, Any]) -> None:
    failed = server({"OLLAMA_VULKAN": "off"}, state=replace(UP, **state))

    hint = next(f for f in found(failed) if f.trap is Trap.BOOLEAN_OPPOSITE).mend.hint

    assert "`sudo systemctl reset-failed ollama.service`, `sudo systemctl restart ollama.service`" in hint


def test_a_variable_is_changed_in_the_file_that_has_the_last_word() -> None:
    path = "/etc/my env"
    files = (EnvironmentFile(path=path, optional=False, text=""),)
    told = only(server(environment=environment({"OLLAMA_VULKAN": "off"}, where=path), environment_files=files))

    assert told.mend.drop_in == ""
    assert told.mend.hint.startswith(r"`sudo sed -i 's|^\s*OLLAMA_VULKAN\s*=.*|OLLAMA_VULKAN=0|' '/etc/my env'`, then")
