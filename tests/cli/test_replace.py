"""One machine has one fleet: another spec takes its place only when that was asked for."""

from pathlib import Path

from tests.cli.command import FLEET, INSTALLED, Done, ollamactl

OTHER = "version: 1\ninstances: {other: {port: 11500, models: [m], gpus: none}}\n"
MORE = FLEET + "  more: {port: 11500, models: [m]}\n"


def applied(image: Path, *arguments: str, stdin: str | None = None) -> Done:
    return ollamactl("apply", "--root", "image", *arguments, "-ojson", at=image, stdin=stdin)


def told(done: Done) -> list[tuple[str, str]]:
    """What is said of the fleet as a whole."""
    return [
        (row["severity"], row["message"]) for row in done.envelope["problems"] if "installed fleet" in row["message"]
    ]


def test_another_spec_is_refused_while_the_first_is_there_and_nothing_is_changed(image: Path) -> None:
    (image / "other.yaml").write_text(OTHER)
    plan = ollamactl("plan", "--root", "image", "other.yaml", at=image)
    done = applied(image, "other.yaml")
    words = (
        f"the installed fleet comes from {image}/fleet.yaml; applying {image}/other.yaml would remove embed and llama3"
    )
    assert (done.code, done.envelope["status"], told(done)) == (1, "failed", [("error", words)])
    assert plan.code == 1
    assert plan.stderr.startswith(
        f"error: {words}\n  hint: one machine has one fleet: put the instances into that file, or replace it with: "
        f"sudo ollamactl apply --replace {image}/other.yaml\n"
    )
    assert "remove" in plan.stdout, "what it would do is shown all the same"
    assert all((image / "image" / path).exists() for path in INSTALLED)
    assert [applied(image, "-", stdin=OTHER).code, applied(image, "other.yaml", "--dry-run").code] == [1, 1]


def test_it_is_replaced_on_demand(image: Path) -> None:
    (image / "other.yaml").write_text(OTHER)
    assert ollamactl("plan", "--replace", "--root", "image", "other.yaml", at=image).code == 0
    done = applied(image, "--replace", "other.yaml")
    note = f"this removes embed and llama3: the installed fleet came from {image}/fleet.yaml"
    assert (done.code, told(done)) == (0, [("note", note)])
    assert not (image / "image" / INSTALLED[2]).exists()


def test_a_spec_that_moved_or_came_from_a_pipe_may_lose_instances(image: Path) -> None:
    (image / "fleet.yaml").rename(image / "moved.yaml")
    (image / "moved.yaml").write_text(FLEET.replace("  embed: {port: 11435", "  search: {port: 11435"))
    moved = applied(image, "moved.yaml")
    assert (moved.code, told(moved)) == (
        0, [("note", f"this removes embed: the installed fleet came from {image}/fleet.yaml, which is gone")]
    )  # fmt: skip
    assert applied(image, "-", "--replace", stdin=FLEET).code == 0
    piped = applied(image, "-", stdin=OTHER)
    assert (piped.code, told(piped)) == (0, [])
    (image / "other.yaml").write_text(FLEET)
    filed = applied(image, "other.yaml")
    assert (filed.code, told(filed)) == (
        0, [("note", "this removes other: the installed fleet came from standard input")]
    )  # fmt: skip


def test_another_spec_that_removes_nothing_is_no_matter(image: Path) -> None:
    (image / "more.yaml").write_text(MORE)
    (image / "other.yaml").write_text(OTHER)
    (image / "link.yaml").symlink_to("fleet.yaml")
    only = applied(image, "other.yaml", "--only", "other")
    assert (only.code, told(only)) == (0, [])
    assert (image / "image" / INSTALLED[2]).exists()
    assert applied(image, "other.yaml").code == 1, "a part of another spec does not make the fleet that one's"
    assert applied(image, "more.yaml", "--replace").code == 0
    (image / "most.yaml").write_text(MORE)
    assert (applied(image, "most.yaml").code, applied(image, "fleet.yaml").code) == (0, 1)
    assert ollamactl("render", "--diff", "other.yaml", "--root", "image", at=image).code == 0


def test_the_same_file_under_another_name_may_lose_instances(image: Path) -> None:
    (image / "link.yaml").symlink_to("fleet.yaml")
    (image / "fleet.yaml").write_text(OTHER)
    done = applied(image, "link.yaml")
    assert (done.code, told(done)) == (0, [])
    (image / "again.yaml").write_text(OTHER)
    again = ollamactl("plan", "--root", "image", "again.yaml", "-ojson", at=image).envelope["data"]["steps"]
    assert [(step["step"], step["cause"]) for step in again] == [
        ("write", f"the spec is now at {image}/again.yaml, was at {image}/link.yaml")
    ]
