"""A notification of a rollout that went well, and the secret in its hook's address."""

from __future__ import annotations

from shipit.notify import Message, Moment

SECRET = "T0000/B0000/s3cr3tt0k3n"
HOOK = f"https://hooks.example.com/services/{SECRET}"
DONE = Message(
    event=Moment.SUCCESS,
    env="production",
    build="v2",
    rollout="r1",
    by="ann@laptop",
    why="the importer",
    outcome="converged",
    exit_code=0,
    groups=50,
    seconds=312.4,
)
