"""What shipit runs on an instance beside the worker: it watches for the instance's end, and reports what runs.

    facts       instance.env, defaults.env and the environment -> settings; who this instance is
    metadata    the instance metadata service, version 2, and the role's credentials
    aws         requests signed for AWS, and the caller's own user id
    rows        a process -> a report; nothing is believed that the process itself does not show
    spool       reports that wait for S3, on disk: bounded, whole or not there
    sender      the spool -> S3, each object once; what cannot be sent now is sent later
    leaving     what the metadata service says -> whether the instance leaves, why, and by when (pure)
    workers     the units of the application, as systemd sees them
    lifecycle   the lifecycle action that holds an instance until it has drained
    watcher     the order of it all, one look after another

`watch.py` runs the watcher as a service, `report.py` writes one report. Standard library alone, Python 3.9 and later.
Modules that a hook loads use neither dataclasses nor anything else that is slow to import: each deployment pays for
it on each instance.
"""
