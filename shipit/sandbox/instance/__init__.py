"""Instances as folders: a real bundle unpacked, real hooks run, real processes started, all of it killed at the end.

`ProcessAgent` (agent.py) runs lifecycle events; `Imds` (imds.py) serves instance metadata; `clean_leftovers`
(processes.py) kills what a daemon that died left behind. Linux only: /proc, pidfd and abstract sockets.
"""
