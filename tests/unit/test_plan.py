"""A plan as text and as steps of a kind."""

from ollamactl.planning.plan import ON_DISK, ORDER, Plan, Step, StepKind


def step(kind: StepKind, subject: str, cause: str = "", instance: str = "") -> Step:
    return Step(kind=kind, subject=subject, cause=cause, instance=instance)


PLAN = Plan(
    steps=(
        step(StepKind.WRITE, "/etc/a", "new"),
        step(StepKind.RELOAD, "systemd"),
        step(StepKind.START, "ollama@a.service", "new", "a"),
        step(StepKind.WAIT, "ollama@a.service", "until it answers", "a"),
        step(StepKind.VERIFY, "ollama@a.service", "", "a"),
        step(StepKind.VERIFY, "ollama@b.service", "", "b"),
    )
)


def test_text_is_a_line_a_step_with_one_for_all_proofs() -> None:
    assert str(PLAN) == (
        "write    /etc/a            new\n"
        "reload   systemd\n"
        "start    ollama@a.service  new\n"
        "wait     ollama@a.service  until it answers\n"
        "verify   a, b"
    )
    assert str(Plan()) == ""


def test_waiting_and_proving_change_nothing() -> None:
    assert [each.kind for each in PLAN.changes] == [StepKind.WRITE, StepKind.RELOAD, StepKind.START]
    assert [each.instance for each in PLAN.of(StepKind.VERIFY)] == ["a", "b"]


def test_what_is_stopped_is_stopped_before_its_files_go_and_all_is_read_before_anything_starts() -> None:
    kinds = sorted(StepKind, key=ORDER.__getitem__)
    on_disk = ["disable", "enable", "remove", "reload"]
    last = ["displace", "restart", "start", "restore", "wait", "verify"]
    assert kinds == ["pull", "create", "write", "stop", *on_disk, *last]
    assert set(ON_DISK) == {"write", "disable", "enable", "remove"}
