"""What a proof says, as whole text: one line where all is well, and all that a person needs where it is not."""

from dataclasses import replace
from textwrap import dedent

from ollamactl.model import Instance, Store
from ollamactl.observed import Active, PortHolder, UnitState
from ollamactl.proving.judge import judge
from ollamactl.proving.proof import Answers, Evidence, Expected, ModelSize, Proof
from ollamactl.report import proof_lines

LLAMA = "a" * 64
MINI = "b" * 64
INSTANCE = Instance(name="llama3", port=11434, models=("llama3:latest",), gpus=("0",))
UNIT = UnitState(
    name="ollama@llama3.service", load_state="loaded", active=Active.ACTIVE, sub_state="running", main_pid=700
)
OURS = PortHolder(address="127.0.0.1", port=11434, pid=700, unit=UNIT.name)
SQUATTER = PortHolder(
    address="127.0.0.1", port=11434, pid=812, command="python3 -m http.server 11434", unit="session-2.scope"
)
ANSWERS = Answers(version="0.34.0", models={"llama3:latest": f"sha256:{LLAMA}"})
WELL = Evidence(unit=UNIT, answers=ANSWERS, holder=OURS, holder_is_ours=True)
EXPECTED = Expected(version="0.34.0", models={"llama3:latest": LLAMA})
LOADED = replace(EXPECTED, load=True, gpu=True)
SILENT = Answers(failure="connection refused")


def prove(evidence: Evidence = WELL, expected: Expected = EXPECTED, instance: Instance = INSTANCE) -> Proof:
    return judge(instance, expected, evidence)


def told(
    evidence: Evidence = WELL,
    expected: Expected = EXPECTED,
    instance: Instance = INSTANCE,
    *,
    verbose: bool = False,
) -> str:
    return "\n".join(proof_lines([prove(evidence, expected, instance)], verbose=verbose))


def text(block: str) -> str:
    return dedent(block).strip("\n")


def loaded(size_vram: int, expected: Expected = LOADED) -> str:
    sizes = {"llama3:latest": ModelSize(size=1000, size_vram=size_vram)}
    return told(replace(WELL, answers=replace(ANSWERS, loaded=sizes)), expected)


def test_a_model_that_had_to_make_room_is_proved_by_where_it_was() -> None:
    evicted = replace(ANSWERS, evicted={"llama3:latest": ModelSize(size=1000, size_vram=0)})
    assert "llama3:latest is on the CPU" in told(replace(WELL, answers=evicted), LOADED)


def test_a_server_that_is_well_is_one_line_with_all_that_was_proved() -> None:
    assert told() == "ok    llama3  127.0.0.1:11434  unit, http, listener, version, models"


def test_verbose_says_what_was_found() -> None:
    assert told(verbose=True) == text(
        f"""
        ok    llama3  127.0.0.1:11434  unit, http, listener, version, models
              unit: active (running)
              http: answers on 127.0.0.1:11434
              listener: pid 700 of ollama@llama3.service
              version: 0.34.0
              models: llama3:latest {LLAMA[:12]}
        """
    )


def test_servers_stand_below_each_other_in_columns() -> None:
    other = Instance(name="b", port=80, host="::1", models=())
    proofs = [prove(), judge(other, Expected(), replace(WELL, answers=Answers(version="1")))]
    assert "\n".join(proof_lines(proofs)) == text(
        """
        ok    b       [::1]:80         unit, http, listener, version, models
        ok    llama3  127.0.0.1:11434  unit, http, listener, version, models
        """
    )


def test_a_squatter_is_named_and_nothing_that_it_says_is_told() -> None:
    crashed = replace(UNIT, active=Active.FAILED, sub_state="failed", restarts=5, main_pid=0)
    evidence = replace(
        WELL, unit=crashed, holder=SQUATTER, holder_is_ours=False, answers=Answers(version="9", models={"x": "y"})
    )
    assert told(evidence) == text(
        """
        FAIL  llama3  127.0.0.1:11434  unit, listener
              unit: found     failed, restarted 5 times by systemd
                    expected  active (running), without restarts
                    hint      see why: journalctl -u ollama@llama3.service -n 50
              listener: found     127.0.0.1:11434 is held by pid 812 (python3 -m http.server 11434) of session-2.scope
                        expected  a process of ollama@llama3.service listens on 127.0.0.1:11434
                        hint      end that program, or choose another port in the spec; ollamactl kills nothing
        """
    )


def test_a_squatter_that_speaks_no_http_is_named_just_so() -> None:
    evidence = replace(
        WELL, holder=SQUATTER, holder_is_ours=False, answers=Answers(failure="an answer that is no HTTP: SSH-2.0")
    )
    assert told(evidence) == text(
        """
        FAIL  llama3  127.0.0.1:11434  listener
              listener: found     127.0.0.1:11434 is held by pid 812 (python3 -m http.server 11434) of session-2.scope
                        expected  a process of ollama@llama3.service listens on 127.0.0.1:11434
                        hint      end that program, or choose another port in the spec; ollamactl kills nothing
        """
    )


def test_the_official_service_as_squatter_is_named_with_the_way_out() -> None:
    holder = replace(SQUATTER, pid=640, command="/usr/local/bin/ollama serve", unit="ollama.service")
    assert told(replace(WELL, holder=holder, holder_is_ours=False)) == text(
        """
        FAIL  llama3  127.0.0.1:11434  listener
              listener: found     127.0.0.1:11434 is held by pid 640 (/usr/local/bin/ollama serve) of ollama.service
                        expected  a process of ollama@llama3.service listens on 127.0.0.1:11434
                        hint      that is Ollama's own service: sudo systemctl disable --now ollama.service, or have apply do that: replaces: [ollama.service]; or choose another port
        """  # noqa: E501
    )


def test_an_answer_that_comes_from_elsewhere_is_no_proof() -> None:
    assert told(replace(WELL, holder=None, holder_is_ours=False)) == text(
        """
        FAIL  llama3  127.0.0.1:11434  listener
              listener: found     an answer, though no process here listens
                        expected  a process of ollama@llama3.service listens on 127.0.0.1:11434
                        hint      look for a redirect, such as a container's published port: sudo nft list ruleset | grep 11434
        """  # noqa: E501
    )


def test_who_is_not_root_is_told_what_was_not_looked_at() -> None:
    holder = PortHolder(address="127.0.0.1", port=11434)
    evidence = replace(WELL, holder=holder, holder_is_ours=None)
    lines = told(evidence, verbose=True).splitlines()
    assert lines[0] == "ok    llama3  127.0.0.1:11434  unit, http, version, models"
    assert lines[3] == "      listener: not looked at: that needs root"
    assert [(proof.ok, proof.whole) for proof in map(prove, (WELL, evidence))] == [(True, True), (True, False)]


def test_a_crash_loop_shows_the_last_lines_of_the_journal() -> None:
    looping = replace(UNIT, active=Active.ACTIVATING, sub_state="auto-restart", restarts=3, main_pid=0)
    lines = ("Error: listen tcp 127.0.0.1:11434: bind: address already in use", "Main process exited, code=exited")
    proof = prove(Evidence(unit=looping, answers=SILENT))
    proof = replace(proof, evidence=replace(proof.evidence, journal=lines))
    assert "\n".join(proof_lines([proof])) == text(
        """
        FAIL  llama3  127.0.0.1:11434  unit
              unit: found     activating (auto-restart), restarted 3 times by systemd
                    expected  active (running), without restarts
                    hint      see why: journalctl -u ollama@llama3.service -n 50
              last lines of ollama@llama3.service:
                | Error: listen tcp 127.0.0.1:11434: bind: address already in use
                | Main process exited, code=exited
        """
    )


def test_a_server_that_came_back_while_waiting_is_a_failure_too() -> None:
    """It answers, and yet it has ended once since it was started."""
    again = replace(UNIT, restarts=1)
    assert "found     active (running), restarted once by systemd" in told(replace(WELL, unit=again))


def test_restarts_of_the_past_are_none_of_this_proof() -> None:
    assert prove(replace(WELL, unit=replace(UNIT, restarts=4), restarts_before=4)).ok


def test_a_server_that_somebody_stopped_says_how_to_start_it() -> None:
    stopped = UnitState(name=UNIT.name)
    assert told(Evidence(unit=stopped, answers=SILENT)) == text(
        """
        FAIL  llama3  127.0.0.1:11434  unit
              unit: found     inactive (dead)
                    expected  active (running), without restarts
                    hint      start it: sudo ollamactl start llama3; or see why it ended: journalctl -u ollama@llama3.service
        """  # noqa: E501
    )


def test_a_server_that_runs_and_does_not_answer() -> None:
    hanging = replace(WELL, answers=Answers(failure="no HTTP answer, still after 5m"))
    assert told(hanging) == text(
        """
        FAIL  llama3  127.0.0.1:11434  http
              http: found     no HTTP answer, still after 5m
                    expected  an answer of Ollama's on 127.0.0.1:11434
                    hint      see what it does: journalctl -u ollama@llama3.service -n 50; if it hangs: sudo ollamactl restart llama3
        """  # noqa: E501
    )


def test_another_version_than_the_binarys_wants_a_restart() -> None:
    assert told(replace(WELL, answers=replace(ANSWERS, version="0.33.1"))) == text(
        """
        FAIL  llama3  127.0.0.1:11434  version
              version: found     the server runs 0.33.1
                       expected  0.34.0, as /usr/local/bin/ollama is
                       hint      have it run the installed program: sudo ollamactl restart llama3
        """
    )


def test_a_binary_that_could_not_be_asked_proves_no_version() -> None:
    assert prove(expected=replace(EXPECTED, version=None)).ok


def test_models_that_are_missing_other_and_too_many_are_told_together() -> None:
    instance = replace(INSTANCE, models=("llama3:latest", "mini:1b"))
    expected = replace(EXPECTED, models={"llama3:latest": LLAMA, "mini:1b": MINI})
    answers = replace(ANSWERS, models={"llama3:latest": MINI, "extra:latest": MINI})
    assert told(replace(WELL, answers=answers), expected, instance) == text(
        f"""
        FAIL  llama3  127.0.0.1:11434  models
              models: found     llama3:latest is {MINI[:12]} instead of {LLAMA[:12]}; mini:1b is missing; extra:latest is not declared, but served
                      expected  llama3:latest {LLAMA[:12]}, mini:1b {MINI[:12]}
                      hint      sudo ollamactl apply; if that changes nothing: sudo ollamactl restart llama3
        """  # noqa: E501
    )


def test_one_that_sees_the_whole_store_may_serve_more() -> None:
    more = replace(WELL, answers=replace(ANSWERS, models={**ANSWERS.models, "extra:latest": MINI}))
    assert prove(more, instance=replace(INSTANCE, store=Store.SHARED)).ok
    assert not prove(more).ok


def test_a_model_that_the_store_has_lost_must_still_be_served() -> None:
    lost = replace(EXPECTED, models={"llama3:latest": ""})
    assert prove(expected=lost).ok
    assert "found     llama3:latest is missing" in told(replace(WELL, answers=Answers(version="0.34.0")), lost)


def test_load_proves_that_models_load_and_where() -> None:
    line = "ok    llama3  127.0.0.1:11434  unit, http, listener, version, models, load, placement"
    assert loaded(1000) == line
    assert loaded(0, replace(LOADED, gpu=False)) == line
    assert loaded(0, replace(LOADED, gpu=None)) == line


def test_a_model_on_the_cpu_where_a_card_is_pinned() -> None:
    assert loaded(0) == text(
        """
        FAIL  llama3  127.0.0.1:11434  placement
              placement: found     llama3:latest is on the CPU
                         expected  on the GPU that the spec pins
                         hint      see its cards: journalctl -u ollama@llama3.service | grep 'inference compute'
        """
    )


def test_a_model_on_a_card_where_none_is_allowed() -> None:
    assert loaded(1000, replace(LOADED, gpu=False)).splitlines()[1:3] == [
        "      placement: found     llama3:latest is on the GPU",
        "                 expected  on the CPU",
    ]


def test_a_model_that_does_not_fit_is_told_without_being_asked() -> None:
    assert loaded(600) == text(
        """
        ok    llama3  127.0.0.1:11434  unit, http, listener, version, models, load, placement
              placement: llama3:latest is 60 % on the GPU, the rest on the CPU
        """
    )


def test_a_spill_is_never_rounded_away() -> None:
    assert "99 % on the GPU" in loaded(999)
    assert "1 % on the GPU" in loaded(1)
    assert "found     llama3:latest is 1 % on the GPU" in loaded(1, replace(LOADED, gpu=False))


def test_a_load_that_fails_is_told_in_the_servers_own_words() -> None:
    failed = replace(ANSWERS, load_failures={"llama3:latest": "loading llama3:latest failed: out of memory"})
    assert told(replace(WELL, answers=failed), LOADED) == text(
        """
        FAIL  llama3  127.0.0.1:11434  load
              load: found     loading llama3:latest failed: out of memory
                    expected  llama3:latest loads
                    hint      see the runner's own words: journalctl -u ollama@llama3.service -n 50
        """
    )
