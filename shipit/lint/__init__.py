"""Look at what loses, doubles or strands tasks: Celery's settings, systemd units, hooks and queues. Runs nothing.

rules.py          what a rule is
sources.py        the text of the files that rules look at
configuration.py  Celery's settings in Python source, by its syntax tree
commands.py       Celery's commands in shell text
unit_file.py      systemd units and their drop-ins
celery.py  requirements.py  units.py  hooks.py  queues.py    the rules, family by family
examine.py        the verb: all of it, less what was ignored

The facts are those of reference celery.md; docs/lint.md lists the rules.
"""

from shipit.lint.examine import RULES, check_names, examine
from shipit.lint.rules import Rule

__all__ = ["RULES", "Rule", "check_names", "examine"]
