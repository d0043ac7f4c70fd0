"""Findings as text for a person and as JSON values. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from ollamactl.doctor.finding import Finding
from ollamactl.doctor.host import Host
from ollamactl.errors import Problem, Severity
from ollamactl.report import plural


def text(found: Sequence[Finding], host: Host) -> str:
    """A block a finding: what and where, what was seen, what mends it."""
    servers = plural(len(host.servers), "server")
    if not found:
        return f"No known trap found; {servers} looked at." if host.servers else "No known trap, and no Ollama server."
    lines = []
    for finding in found:
        lines += [*_lines(finding), ""]
    errors = sum(finding.severity is Severity.ERROR for finding in found)
    return "\n".join([*lines, f"{plural(len(found), 'trap')} found, {plural(errors, 'error')}; {servers} looked at."])


def _lines(finding: Finding) -> Iterable[str]:
    where = finding.unit or finding.path or "this host"
    yield f"{finding.severity}: {where}: {finding.message} [{finding.trap}]"
    for line in finding.evidence:
        yield f"    found: {line}"
    yield f"    mend:  {finding.mend.hint}"
    for line in finding.mend.drop_in.splitlines():
        yield f"        {line}"


def data(finding: Finding) -> dict[str, Any]:
    """A finding as JSON; `id` is stable."""
    return {
        "id": str(finding.trap),
        "severity": str(finding.severity),
        "unit": finding.unit or None,
        "path": finding.path or None,
        "message": finding.message,
        "evidence": list(finding.evidence),
        "hint": finding.mend.hint,
        "drop_in": finding.mend.drop_in or None,
    }


def unseen(host: Host) -> tuple[Problem, ...]:
    """What could not be looked at, as notes."""
    hint = "" if host.user_manager else "look at all of it: sudo ollamactl doctor"
    notes = [Problem(message=words, severity=Severity.NOTE) for words in host.unseen[:-1]]
    return (*notes, *(Problem(message=words, severity=Severity.NOTE, hint=hint) for words in host.unseen[-1:]))
