"""What all tests share: which of them need a machine, and how that is told where the machine is not fit for them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.run import obstacle

SYSTEM = Path(__file__).parent / "system"
NOT_RUN = "no containers here: "

cached_obstacle = cache(obstacle)

# How long an example takes says only what else the machine is doing
settings.register_profile("loaded", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("loaded")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything below tests/system has the marker; what shares its module's machine stays on one worker."""
    for item in items:
        if item.path.is_relative_to(SYSTEM):
            item.add_marker(pytest.mark.system)
            if {"machine", "serving"} & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A machine that cannot boot containers skips the scenarios, but not in CI: there it is a failure."""
    if item.get_closest_marker("system") and (reason := cached_obstacle()):
        if os.environ.get("CI") == "true":
            pytest.fail(NOT_RUN + reason, pytrace=False)
        pytest.skip(NOT_RUN + reason)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line that nobody overlooks."""
    reports = [report for kind in ("skipped", "error") for report in terminalreporter.stats.get(kind, ())]
    if count := sum(NOT_RUN in str(report.longrepr) for report in reports):
        terminalreporter.write_line(
            f"NOT RUN: {count} system tests, because {cached_obstacle()}.", yellow=True, bold=True
        )
