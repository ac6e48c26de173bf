"""`inv sandbox.fault`, on the side of the command line: check what was typed, and hand it to the daemon."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Callable, Mapping

from shipit.errors import ShipitError, UsageError
from shipit.sandbox.faults.catalogue import CATALOGUE, CLEAR, read
from shipit.sandbox.running import request


def inject(running: Callable[[], str], name: str, flags: Mapping[str, object]) -> str:
    """Put a fault in effect and return what the sandbox says of it; `running` starts it and returns its address.

    Raises UsageError for what is wrong with the name or a flag, ShipitError where the sandbox does not answer.
    """
    values = read(name, flags)
    try:
        return str(request(running(), "fault", {"name": name, **values})["told"])
    except urllib.error.HTTPError as error:
        raise _refused(error) from error
    except OSError as error:
        raise ShipitError(
            f"the sandbox did not answer: {error}", hint="inv sandbox.status shows how it is"
        ) from error


def overview(url: str) -> Mapping[str, object]:
    """Return the faults in effect and those that there are, as tables; raises ShipitError."""
    try:
        found = request(url, "faults")["in_effect"]
    except OSError as error:
        raise ShipitError(
            f"the sandbox did not answer: {error}", hint="inv sandbox.status shows how it is"
        ) from error
    rows = [{"fault": kind.name, "what": kind.line, "for example": kind.example} for kind in CATALOGUE.values()]
    rows.append({"fault": CLEAR, "what": "lift all of them", "for example": ""})
    return {"in effect": found or "nothing", "faults": rows}


def _refused(error: urllib.error.HTTPError) -> ShipitError:
    try:
        said = json.load(error)
        return UsageError(str(said["error"]), hint=str(said.get("hint", "")))
    except (ValueError, KeyError, TypeError):
        return ShipitError(f"the sandbox answered {error}", hint="inv sandbox.reset makes a new one")
