"""What a rule is: its name, how bad what it finds is, why, and what to do. Each family's module holds its own."""

from __future__ import annotations

from dataclasses import dataclass

from shipit.models import Finding, Severity


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Hold what all findings of a rule share. Figures in `why` were measured with Celery 5.7 and systemd 252.

    `finds` completes "it finds …" on the page of rules.
    """

    id: str
    finds: str
    why: str
    fix: str
    severity: Severity = Severity.WARNING

    def at(self, file: str, line: int, what: str, *, why: str = "", fix: str = "") -> Finding:
        """Return a finding of this rule at a place; `why` and `fix` replace the rule's own."""
        return Finding(
            rule=self.id,
            severity=self.severity,
            file=file,
            line=line,
            what=what,
            why=why or self.why,
            fix=fix or self.fix,
        )
