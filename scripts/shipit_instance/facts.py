"""Settings and facts of this instance: its environment, its user data's instance.env, and what its bundle says."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shipit_instance.metadata import Failed, Metadata

_SCRIPTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: Of the bundle: the project's own settings, where it has some, and those of shipit.
BUNDLED_FILES = (os.path.join(_SCRIPTS, "settings.env"), os.path.join(_SCRIPTS, "defaults.env"))

#: What each setting is where nobody says otherwise; seconds, but for the two that are words.
BUILT_IN = {
    "SHIPIT_WATCH_POLL": "5",
    "SHIPIT_SPOT_MARGIN": "10",
    "SHIPIT_REBALANCE": "ignore",
    "SHIPIT_DRAIN_WAIT": "11.5",
    "SHIPIT_DRAIN_GRACE": "60",
    "SHIPIT_DRAIN_COLD": "20",
    "SHIPIT_DRAIN_HOOK": "shipit-drain",
    "SHIPIT_HOOK_HEARTBEAT": "30",
    "SHIPIT_HEARTBEAT": "300",
}


class Identity(NamedTuple):
    """Say which instance this is; `lifecycle` is `spot` or `on-demand`."""

    instance_id: str
    az: str
    lifecycle: str


class Settings:
    """Look a setting or fact up: the environment, instance.env, settings.env, defaults.env."""

    def __init__(self, *sources: Mapping[str, str]) -> None:
        """Look in `sources`, the first that has it deciding, then among what is built in."""
        self._sources = (*sources, BUILT_IN)

    def text(self, name: str) -> str:
        """Return a value; empty where nothing has one."""
        return next((one[name] for one in self._sources if one.get(name)), "")

    def seconds(self, name: str) -> float:
        """Return a number; one that cannot be read is passed over, since a slip must not end the watcher."""
        for one in self._sources:
            try:
                value = float(one.get(name) or "nan")
            except ValueError:
                continue
            if 0 <= value < float("inf"):
                return value
        raise KeyError(name)

    def over(self, source: Mapping[str, str]) -> Settings:
        """Return the same settings, with `source` before all others."""
        return Settings(source, *self._sources)


def read_settings(root: str) -> Settings:
    """Return the settings of the instance below `root`, which is empty on a real one.

    Files that are missing or cannot be read have nothing to say.
    """
    files = (f"{root}/etc/shipit/instance.env", *BUNDLED_FILES)
    return Settings(os.environ, *(read_env(path) for path in files))


def read_env(path: str) -> dict[str, str]:
    """Return what a file of `KEY=value` lines says, quotes and comments apart; nothing where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return dict(_pairs(file))
    except OSError:
        return {}


def _pairs(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith("#"):
            yield key.strip(), value.strip().strip("\"'")


def identify(metadata: Metadata) -> Identity:
    """Ask the metadata service who this is. Raises Failed."""
    text = metadata.require("dynamic/instance-identity/document")
    try:
        document = json.loads(text)
        found = document["instanceId"], document["availabilityZone"]
    except (ValueError, TypeError, KeyError) as error:
        raise Failed(f"instance metadata: the identity document does not say who this is: {error!r}") from error
    return Identity(*found, metadata.require("meta-data/instance-life-cycle"))


def state_folder(root: str, app: str) -> str:
    """Return where the watcher of an application keeps what outlives it."""
    return f"{root}/var/lib/shipit/{app}"
