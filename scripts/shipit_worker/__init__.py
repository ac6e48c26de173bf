"""Celery plugins for workers on SQS that come and go: `import shipit_worker` in the application's Celery module.

    quiesce    SIGUSR2 stops the polling of all queues, SIGTTIN resumes it: what a drain begins with
    keeper     extends the visibility of every message that the worker holds, for as long as it holds it
    ready      tells systemd when the worker consumes, and when it stops (Type=notify)
    metrics    one line for each task that ended, in CloudWatch's embedded metric format, on standard output

The import only connects to Celery's signals, so it costs a web server or a shell nothing, and twice is as good as
once. Each plugin has a setting in the environment that switches it off. None of them can break the worker: an error
inside a plugin is one line in the log. docs/worker.md says what each does and why.

Python 3.9 and later; celery, kombu and boto3 as the application has them.
"""

from __future__ import annotations

from importlib import import_module

from shipit_worker.plugin import guarded, number, switched_on

__all__ = ["PLUGINS", "activate"]

PLUGINS = ("quiesce", "keeper", "ready", "metrics")


def activate() -> None:
    """Connect each plugin that is not switched off to Celery's signals; those connected already stay as they are."""
    for name in PLUGINS:
        if number("VISIBILITY", 120) > 0 if name == "keeper" else switched_on(name):
            _connect(name)


@guarded
def _connect(name: str) -> None:
    import_module(f"{__name__}.{name}").connect()


activate()
