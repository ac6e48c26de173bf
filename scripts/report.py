#!/usr/bin/env python3
"""Report what this instance has installed and what its worker really runs: one JSON object, written once to S3.

    report.py HOME PID REASON        for example: report.py /opt/shipit/worker 4711 deploy

HOME holds `current`; PID is the worker's main process. The report is kept on disk first, then sent. Exit codes: 0 it
was sent; 75 it waits, and the watcher (watch.py) sends it; 1 there is none, or S3 refused it for good. Standard
library alone, Python 3.9 and later.
"""

from __future__ import annotations

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which -I leaves out

from shipit_instance.aws import Aws, Refused
from shipit_instance.facts import identify, read_settings, state_folder
from shipit_instance.metadata import Failed, Metadata
from shipit_instance.rows import make_report, read_deployment, read_process
from shipit_instance.sender import Sender
from shipit_instance.spool import Spool

#: Seconds before each attempt.
PAUSES = (0.0, 0.5, 1.5)
SENT, WAITS = 0, os.EX_TEMPFAIL


def main(home: str, pid: str, reason: str) -> int:
    """Make the report and send it; return the exit code.

    Raises Failed, OSError or KeyError where a part of it is missing, Refused where S3 will never take it.
    """
    root = os.environ.get("SHIPIT_ROOT", "")
    settings = read_settings(root)
    process = read_process(int(pid))
    metadata = Metadata()
    identity = identify(metadata)
    spool = Spool(f"{state_folder(root, os.path.basename(home))}/{identity.instance_id}", complain)
    report = make_report(
        reason,
        process,
        home=home,
        settings=settings,
        identity=identity,
        deployment=os.environ.get("DEPLOYMENT_ID") or read_deployment(home, process.build),
        milliseconds=spool.moment(time.time()),
    )
    entries = spool.add(report)
    sender = Sender(spool, Aws(metadata, settings.text("AWS_REGION")), complain)
    for entry in entries:
        for pause in PAUSES:
            time.sleep(pause)
            try:
                sender.send(entry)
                break
            except Refused:
                raise
            except Failed as failure:
                trouble = failure
        else:
            complain(f"{trouble}; the report waits in {spool.folder}")
            return WAITS
    return SENT


def complain(text: str) -> None:
    """Say a line where a hook's log shows it."""
    print(f"report.py: {text}", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (Failed, OSError, KeyError, ValueError) as error:
        sys.exit(f"report.py: {type(error).__name__}: {error}")
