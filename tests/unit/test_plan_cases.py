"""Each directory of tests/cases/plan against its plan.txt; UPDATE_CASES=1 writes them anew, for git to show."""

import os
from pathlib import Path

import pytest

from tests.unit import plan_cases

UPDATE = os.environ.get("UPDATE_CASES") == "1"


@pytest.mark.parametrize("case", plan_cases.names())
def test_the_plan_is_the_one_on_file(case: str) -> None:
    plan, problems = plan_cases.load(case)
    compare(plan_cases.CASES / case / "plan.txt", str(plan))
    compare(plan_cases.CASES / case / "problems.txt", "\n".join(map(str, problems)))


def compare(path: Path, text: str) -> None:
    wanted = f"{text}\n" if text else ""
    if UPDATE:
        path.unlink(missing_ok=True)
        if wanted or path.name == "plan.txt":
            path.write_text(wanted)
    assert (path.read_text() if path.exists() else "") == wanted
