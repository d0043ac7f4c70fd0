"""All that is wrong with a host, the worst first. Pure."""

from ollamactl.doctor import cards, listening, program, stores, supervision, variables
from ollamactl.doctor.finding import Finding
from ollamactl.doctor.host import Host
from ollamactl.errors import Severity

_SUBJECTS = (supervision, program, listening, variables, cards, stores)
"""A module each, in the order in which a person would look."""


def findings(host: Host) -> tuple[Finding, ...]:
    """Errors before warnings; within them by unit, and by subject."""
    found = [finding for subject in _SUBJECTS for finding in subject.findings(host)]
    return tuple(sorted(found, key=lambda finding: (finding.severity is not Severity.ERROR, finding.unit)))
