"""Give Invoke shipit's tasks: a project that uses shipit has this same line."""

from shipit.tasks import namespace

__all__ = ["namespace"]
