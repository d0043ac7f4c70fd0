"""The table of a fleet, as a person sees it, and the same as JSON."""

from dataclasses import replace
from textwrap import dedent

import pytest

from ollamactl import status
from ollamactl.host.gatestate import GateState
from ollamactl.model import Instance, State
from ollamactl.observed import Active, DropIn, Heeded, Observed, PortHolder, UnitState
from ollamactl.planning import lost
from ollamactl.proving.judge import judge
from ollamactl.proving.proof import Answers, Evidence, Expected, ModelSize

NOW = 1_000_000.0
MIB = 1 << 20
ANSWERS = Answers(version="0.34.0")


def row(
    name: str,
    port: int,
    *,
    active: Active = Active.ACTIVE,
    sub_state: str = "running",
    state: State = State.RUNNING,
    answers: Answers = ANSWERS,
    gpus: tuple[str, ...] | None = (),
    journal: tuple[str, ...] = (),
    since: float | None = NOW - 90,
    drop_ins: tuple[DropIn, ...] = (),
    restarts: int = 0,
    proved: bool = True,
) -> status.Row:
    instance = Instance(name=name, port=port, models=(), gpus=gpus, state=state)
    up = active is Active.ACTIVE
    unit = UnitState(
        name=instance.unit, active=active, sub_state=sub_state, main_pid=700 if up else 0, restarts=restarts
    )
    holder = PortHolder(address="127.0.0.1", port=port, pid=700, unit=instance.unit)
    evidence = Evidence(
        unit=unit, answers=answers, holder=holder if up else None, holder_is_ours=up or None, restarts_before=restarts
    )
    proof = judge(instance, Expected(), evidence)
    return status.Row(
        instance=instance,
        unit=unit,
        since=since,
        memory=150 * MIB if up else None,
        proof=replace(proof, evidence=replace(evidence, journal=journal)) if proved else None,
        drop_ins=drop_ins,
    )


LOADED = Answers(
    version="0.34.0",
    loaded={"m:1b": ModelSize(size=1000, size_vram=1000), "n:latest": ModelSize(size=1000, size_vram=996)},
)
WELL = row("llama3", 11434, gpus=("GPU-5c1a",), answers=LOADED, since=NOW - 5 * 86400)
CPU = row(
    "embed",
    11436,
    since=NOW - 7200,
    restarts=2,
    answers=replace(LOADED, loaded={"e:1": ModelSize(size=9, size_vram=0)}),
)
STOPPED = row("later", 11437, active=Active.INACTIVE, sub_state="dead", state=State.STOPPED, proved=False, since=None)
BROKEN = row(
    "mistral",
    11435,
    active=Active.FAILED,
    sub_state="failed",
    gpus=None,
    answers=Answers(failure="connection refused"),
    journal=("Error: no space left on device",),
    restarts=5,
)


def text(block: str) -> str:
    return dedent(block).strip("\n")


def test_a_fleet_that_is_well_is_a_table_and_nothing_else() -> None:
    assert status.table([WELL, CPU, STOPPED], now=NOW) == text(
        """
        INSTANCE  UNIT              SINCE  LISTEN           PROOF                    LOADED          GPU                      MEMORY  RESTARTS
        llama3    active (running)  5d     127.0.0.1:11434  ok                       m:1b, n:latest  GPU-5c1a (99 % in VRAM)  150M    0
        embed     active (running)  2h     127.0.0.1:11436  ok                       e:1             none                     150M    2
        later     inactive (dead)   -      127.0.0.1:11437  stopped, as in the spec  -               none                     -       0
        """  # noqa: E501
    )


def test_one_that_is_not_well_is_explained_below() -> None:
    assert status.table([BROKEN, CPU], now=NOW) == text(
        """
        INSTANCE  UNIT              SINCE  LISTEN           PROOF         LOADED  GPU   MEMORY  RESTARTS
        mistral   failed            1m     127.0.0.1:11435  FAILED: unit  -       any   -       5
        embed     active (running)  2h     127.0.0.1:11436  ok            e:1     none  150M    2

        FAIL  mistral  127.0.0.1:11435  unit
              unit: found     failed, restarted 5 times by systemd
                    expected  active (running), without restarts
                    hint      see why: journalctl -u ollama@mistral.service -n 50
              last lines of ollama@mistral.service:
                | Error: no space left on device
        """
    )


def test_verbose_says_of_all_what_was_found() -> None:
    said = status.table([CPU], now=NOW, verbose=True)
    assert said.partition("\n\n")[2] == text(
        """
        ok    embed  127.0.0.1:11436  unit, http, listener, version, models
              unit: active (running)
              http: answers on 127.0.0.1:11436
              listener: pid 700 of ollama@embed.service
              version: 0.34.0
              models: none
        """
    )


def test_an_administrators_drop_ins_are_shown() -> None:
    later = DropIn(path="/etc/later.conf", heeded=Heeded.AT_RESTART)
    changed = row("embed", 11436, drop_ins=(DropIn(path="/etc/a.conf"), later, DropIn(path="/run/b.conf")))
    assert status.table([changed], now=NOW).splitlines()[2:] == [
        "embed: an administrator's drop-in applies too: /etc/a.conf, /run/b.conf",
        "embed: an administrator's drop-in takes effect at the next restart: /etc/later.conf",
        "  hint: sudo ollamactl restart embed",
    ]
    told = status.data(changed)
    assert (told["drop_ins"], told["drop_ins_pending"], told["healthy"]) == (
        ["/etc/a.conf", "/etc/later.conf", "/run/b.conf"], ["/etc/later.conf"], True
    )  # fmt: skip


def test_one_that_runs_though_it_is_to_be_stopped_is_not_well() -> None:
    against = row("later", 11437, state=State.STOPPED)
    assert "runs, against the spec" in status.table([against], now=NOW)
    assert not against.healthy
    assert [each.healthy for each in (WELL, CPU, STOPPED, BROKEN)] == [True, True, True, False]


def test_one_that_nothing_describes_any_more_is_shown_and_not_well() -> None:
    unit = replace(WELL.unit, name="ollama@x.service")
    (proof,) = lost.proofs(Observed(units={unit.name: unit}, wanted=frozenset({unit.name})), ())
    instance = Instance(name="x", port=0, models=())
    gone = status.Row(instance=instance, unit=unit, since=NOW - 60, memory=None, proof=proof)
    drop_in = "/etc/systemd/system/ollama@x.service.d/10-ollamactl.conf"
    assert status.table([gone], now=NOW) == text(
        f"""
        INSTANCE  UNIT              SINCE  LISTEN  PROOF            LOADED  GPU  MEMORY  RESTARTS
        x         active (running)  1m     -       FAILED: drop-in  -       -    -       0

        FAIL  x  -  drop-in
              drop-in: found     it is active (running), and its drop-in {drop_in} is gone
                       expected  the drop-in that ollamactl wrote
                       hint      put it back, or have it removed if the spec has it no more: sudo ollamactl apply fleet.yaml
        """  # noqa: E501
    )
    told = status.data(gone)
    assert (gone.healthy, told["listen"], told["gpus"], told["proof"]) == (False, None, None, False)
    assert [failure["check"] for failure in told["failures"]] == ["drop-in"]


def test_one_that_was_stopped_by_hand_is_not_well() -> None:
    stopped = row("x", 1, active=Active.INACTIVE, sub_state="dead", answers=Answers(failure="connection refused"))
    assert not stopped.healthy
    assert "sudo ollamactl start x" in status.table([stopped], now=NOW)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86400 * 400, "400d"), (-5, "0s")],
)
def test_since_is_one_unit_of_time(seconds: float, words: str) -> None:
    line = status.table([row("x", 1, since=NOW - seconds)], now=NOW).splitlines()[1]
    assert line.split()[3] == words


@pytest.mark.parametrize(
    ("gpus", "vram", "words"),
    [
        (None, {}, "any"),
        ((), {"m": 0}, "none"),
        (("0", "1"), {}, "0,1"),
        (("0",), {"m": 1000}, "0 (100 % in VRAM)"),
        (("0",), {"m": 1000, "n": 0}, "0 (0 % in VRAM)"),
        (("0",), {"m": 999}, "0 (99 % in VRAM)"),
        (None, {"m": 500}, "any (50 % in VRAM)"),
    ],
)
def test_cards_are_shown_with_the_worst_share_in_vram(
    gpus: tuple[str, ...] | None, vram: dict[str, int], words: str
) -> None:
    loaded = {name: ModelSize(size=1000, size_vram=size) for name, size in vram.items()}
    head, line = status.table([row("x", 1, gpus=gpus, answers=Answers(loaded=loaded))], now=NOW).splitlines()
    start, end = head.index("GPU"), head.index("MEMORY")
    assert line[start:end].strip() == words


def test_json_has_plain_numbers() -> None:
    assert status.data(WELL) == {
        "instance": "llama3",
        "unit": "ollama@llama3.service",
        "active": "active",
        "sub_state": "running",
        "since": NOW - 5 * 86400,
        "listen": "127.0.0.1:11434",
        "healthy": True,
        "older": False,
        "proof": True,
        "failures": [],
        "version": "0.34.0",
        "loaded": [
            {"name": "m:1b", "size": 1000, "size_vram": 1000},
            {"name": "n:latest", "size": 1000, "size_vram": 996},
        ],
        "gpus": ["GPU-5c1a"],
        "memory": 150 * MIB,
        "gate": None,
        "secrets": None,
        "restarts": 0,
        "drop_ins": [],
        "drop_ins_pending": [],
    }
    busy = GateState(state="busy", since=NOW - 60, in_flight=2, waiting=0, used=NOW)
    assert status.data(replace(WELL, gate=busy))["gate"] == {
        "state": "busy", "since": NOW - 60, "in_flight": 2, "waiting": 0, "used": NOW,
    }  # fmt: skip
    assert "busy" in status.table([replace(WELL, gate=busy)], now=NOW)
    assert status.data(replace(WELL, secrets="1a2b3c4d"))["secrets"] == "1a2b3c4d"
    stopped, broken = status.data(STOPPED), status.data(BROKEN)
    assert (stopped["proof"], stopped["healthy"], stopped["since"], stopped["memory"]) == (None, True, None, None)
    assert [failure["check"] for failure in broken["failures"]] == ["unit"]
    assert (broken["gpus"], broken["version"]) == (None, None)
