"""What forbids an apply, and what the operator should know; the cases of tests/cases/plan hold whole examples."""

from dataclasses import replace

import pytest

from ollamactl.errors import Severity
from ollamactl.files import File, FileKind, ObservedFile
from ollamactl.model import Egress, Fleet, Hardening, Instance, State, Store
from ollamactl.observed import Observed, PortHolder, Rival, Running, UnitState
from ollamactl.planning import precheck

A = Instance(name="a", port=11434, models=("m:latest",))
B = Instance(name="b", port=11435, models=("m:latest",))
FLEET = Fleet(instances=(A, B))
UNITS = "/etc/systemd/system"


def told(observed: Observed, *only: str, fleet: Fleet = FLEET) -> list[str]:
    """As `severity: instance: message`, the first line of each."""
    found = precheck.problems(fleet, (), observed, only=only)
    return [f"{problem.severity}: {problem.instance}: {problem.message}" for problem in found]


def hints(observed: Observed, *only: str) -> list[str]:
    return [problem.hint for problem in precheck.problems(FLEET, (), observed, only=only)]


def holder(unit: str, pid: int | None = 812, command: str = "x") -> PortHolder:
    return PortHolder(address="127.0.0.1", port=11434, pid=pid, command=command, unit=unit)


def link(target: str, unit: str = A.unit) -> ObservedFile:
    return ObservedFile(path=f"{UNITS}/{unit}", data=target.encode(), ours=False, mode=0o777)


def test_a_host_that_is_ready_has_no_problems() -> None:
    assert told(Observed()) == []


def test_a_masked_unit_is_told_once_however_it_was_masked() -> None:
    masked = UnitState(name=A.unit, load_state="masked")
    words = ["error: a: the unit is masked, so systemd refuses to start it"]
    files = {f"{UNITS}/{A.unit}": link("/dev/null")}
    for observed, runtime in (
        (Observed(units={A.unit: masked}), "--runtime "),
        (Observed(units={A.unit: masked}, files=files), ""),
        (Observed(files=files), ""),
    ):
        assert told(observed) == words
        assert hints(observed) == [f"sudo systemctl unmask {runtime}{A.unit}, then the same command again"]


def test_a_whole_unit_of_an_instances_name_stands_in_the_way_and_others_do_not() -> None:
    mine = ObservedFile(path=f"{UNITS}/{A.unit}", data=b"[Service]\n", ours=False)
    other = ObservedFile(path=f"{UNITS}/ollama@theirs.service", data=b"[Service]\n", ours=False)
    observed = Observed(files={mine.path: mine, other.path: other})
    assert told(observed) == ["error: a: this unit file of somebody else stands in the place of the template"]
    assert hints(observed) == [f"look at it, then move it away: mv {mine.path} {mine.path}.mine"]


@pytest.mark.parametrize(
    ("unit", "pid", "hint"),
    [
        ("session-2.scope", 812, "end that program, or choose another port in the spec; ollamactl kills nothing"),
        ("nginx.service", 812, "sudo systemctl stop nginx.service, or choose another port in the spec"),
        (
            "ollama.service",
            812,
            (
                "that is Ollama's own service: sudo systemctl disable --now ollama.service, or have apply do that:"
                " replaces: [ollama.service]; or choose another port"
            ),
        ),
        (
            "init.scope",
            1,
            "a socket unit holds it (systemctl list-sockets): disable that, or choose another port in the spec",
        ),
        ("", None, "see who it is: sudo ss -ltnp 'sport = :11434'"),
    ],
)
def test_a_stranger_on_a_port_forbids_the_apply_with_the_way_out(unit: str, pid: int | None, hint: str) -> None:
    observed = Observed(holders={"a": holder(unit, pid)})
    assert told(observed)[0].startswith("error: a: 127.0.0.1:11434 is taken by ")
    assert hints(observed) == [hint]


def test_a_server_of_the_fleet_that_moves_away_or_leaves_is_no_stranger() -> None:
    leaving = {"gone": Running(config="0123")}
    assert told(Observed(holders={"a": holder(B.unit)})) == []
    assert told(Observed(holders={"a": holder("ollama@gone.service")}, running=leaving)) == []
    assert told(Observed(holders={"a": holder("ollama@theirs.service")}, running={"theirs": Running()})) != []


def test_with_only_the_others_keep_their_ports() -> None:
    assert told(Observed(holders={"a": holder(B.unit)}), "a") == [
        "error: a: 127.0.0.1:11434 is taken by pid 812 (x) of ollama@b.service"
    ]
    assert told(Observed(holders={"a": holder(B.unit)}), "a", "b") == []


def test_a_port_of_a_server_that_is_to_be_stopped_is_anybodys() -> None:
    stopped = Fleet(instances=(replace(A, state=State.STOPPED),))
    assert told(Observed(holders={"a": holder("nginx.service")}), fleet=stopped) == []


def test_who_may_not_look_gets_a_warning_where_it_may_be_one_of_the_fleet() -> None:
    blind = {"b": Running()}
    unknown = {"a": holder("", None)}
    assert told(Observed(holders=unknown, running=blind)) == [
        "warning: a: 127.0.0.1:11434 is taken by a process that only root may see"
    ]
    assert told(Observed(holders=unknown))[0].startswith("error: ")


def test_a_unit_that_is_installed_to_listen_there_is_one_of_the_fleet_to_who_may_not_look() -> None:
    blind = Observed(holders={"a": holder(B.unit, None)}, running={"b": Running()})
    assert told(blind) == []
    assert told(blind, "a") == ["error: a: 127.0.0.1:11434 is taken by ollama@b.service, as it is installed"]
    assert hints(blind, "a") == ["that server frees it when the whole spec is applied, without --only"]
    gone = replace(blind, holders={"a": holder("ollama@gone.service", None)})
    assert told(replace(gone, wanted=frozenset({"ollama@gone.service"}))) == []


def test_a_file_that_could_not_be_read_is_told_where_it_would_be_compared() -> None:
    path = "/var/lib/ollamactl/secrets/a.env"
    seen = ObservedFile(path=path, data=b"", ours=True, mode=0o600, unread=True)
    observed = Observed(files={path: seen})
    for data, count in ((b"TOKEN=x\n", 1), (b"", 0)):
        wanted = File(path=path, data=data, kind=FileKind.SECRETS, instance="a", mode=0o600)
        found = [problem.message for problem in precheck.problems(FLEET, (wanted,), observed)]
        assert found == ["only root may read this file, so it was not compared"] * count
    assert precheck.problems(FLEET, (), observed) == ()


def test_a_folder_that_could_not_be_looked_into_is_told_once_where_it_matters() -> None:
    folder = ObservedFile(path="/var/lib/ollamactl/secrets", data=b"", ours=True, unread=True)
    observed = Observed(files={folder.path: folder})
    wanted = [
        File(path=f"{folder.path}/{name}.env", data=b"X=1\n", kind=FileKind.SECRETS, instance=name) for name in "ab"
    ]
    found = precheck.problems(FLEET, wanted, observed)
    assert [str(problem) for problem in found] == [
        f"note: {folder.path}: only root may look into this folder, so no secrets were compared"
    ]
    assert precheck.problems(FLEET, (), observed) == ()


def test_a_unit_that_will_want_the_port_at_boot_forbids_the_apply() -> None:
    rival = Rival(unit="ollama.service", host="0.0.0.0", port=11434, enabled=True)
    assert told(Observed(rivals=(rival,))) == [
        "error: a: ollama.service is set to listen on 127.0.0.1:11434 too, and is started at boot"
    ]
    assert told(Observed(rivals=(replace(rival, enabled=False, up=True),))) == [
        "warning: a: ollama.service is set to listen on 127.0.0.1:11434 too"
    ]
    assert told(Observed(rivals=(replace(rival, enabled=False),))) == [
        "note: a: ollama.service is set to listen on 127.0.0.1:11434 too, but nothing starts it"
    ]
    assert told(Observed(rivals=(replace(rival, host="192.0.2.1"),))) == []
    assert told(Observed(rivals=(replace(rival, port=1),))) == []


def test_a_rival_that_holds_the_port_now_is_told_once() -> None:
    rival = Rival(unit="ollama.service", host="127.0.0.1", port=11434, enabled=True)
    assert len(told(Observed(rivals=(rival,), holders={"a": holder("ollama.service")}))) == 1


@pytest.mark.parametrize(
    ("step_back", "words"),
    [
        ({"store": Store.WRITABLE}, "delete and overwrite the models of the whole fleet"),
        ({"store": Store.SHARED}, "serves every model of the store"),
        ({"hardening": Hardening.COMPAT}, "allows what some GPU drivers need"),
        ({"hardening": Hardening.OFF}, "read and change whatever its user may"),
        ({"egress": Egress.OPEN}, "reach any machine"),
        ({"allow": ("any",)}, "every machine that can route here"),
    ],
)
def test_each_step_back_says_what_it_gives_up(step_back: dict[str, object], words: str) -> None:
    one = replace(A, **step_back)  # type: ignore[arg-type]
    (problem,) = precheck.problems(Fleet(instances=(one, B)), (), Observed())
    assert (problem.severity, problem.instance, problem.path) == (Severity.WARNING, "a", "instances.a")
    assert words in problem.message


def test_a_step_back_that_all_take_is_told_once() -> None:
    both = Fleet(instances=tuple(replace(each, egress=Egress.OPEN) for each in (A, B)))
    (problem,) = precheck.problems(both, (), Observed())
    assert (problem.path, problem.instance) == ("instances", "")
    assert problem.message.startswith("a and b: egress: open lets the server reach any machine")


def test_that_allow_opens_both_directions_is_one_note_for_all_who_need_it() -> None:
    one, other = replace(A, allow=("10.0.0.0/8",)), replace(B, allow=("192.0.2.0/24",))
    (problem,) = precheck.problems(Fleet(instances=(one, other)), (), Observed())
    assert problem.severity is Severity.NOTE
    assert problem.message.startswith("a and b: allow opens both directions: clients in those networks reach the port")


def test_an_address_that_is_not_this_hosts_forbids_the_apply_and_those_that_are_are_listed() -> None:
    lan = {"host": "192.0.2.9", "allow": ("any",)}
    fleet = Fleet(instances=(replace(A, **lan), replace(B, **lan)))  # type: ignore[arg-type]
    observed = Observed(lacking=frozenset(["192.0.2.9"]), addresses=("10.1.2.3", "fd00::2"))
    words = "192.0.2.9 is not an address of this host, so"

    (problem, _) = precheck.problems(fleet, (), observed)
    assert (problem.severity, problem.path) == (Severity.ERROR, "instances.a.host")
    assert problem.message == f"{words} a and b cannot listen on it"
    assert problem.hint.startswith("this host has 10.1.2.3 and fd00::2; 127.0.0.1 is for this host alone")
    assert f"error: b: {words} b cannot listen on it" in told(observed, "b", fleet=fleet)
    stopped = Fleet(instances=tuple(replace(each, state=State.STOPPED) for each in fleet.instances))
    assert words not in str(told(observed, fleet=stopped))


def test_a_missing_environment_file_forbids_the_apply_of_a_server_that_is_to_start() -> None:
    missing = {"a": {"/etc/a.env": "there is no such file"}}
    words = "a: /etc/a.env: there is no such file, so systemd cannot start a"
    assert told(Observed(unreadable=missing)) == [f"error: {words}"]
    assert told(Observed(unreadable=missing, offline=True)) == [f"warning: {words}"]
    stopped = Fleet(instances=(replace(A, state=State.STOPPED), B))
    assert told(Observed(unreadable=missing), fleet=stopped) == [f"warning: {words}"]


def test_an_environment_file_from_the_future_is_told() -> None:
    running = {"a": Running(undated_files=("/etc/a.env",))}
    assert told(Observed(running=running)) == [
        "warning: a: /etc/a.env was changed at a time to come, so nobody can tell whether a has it"
    ]
