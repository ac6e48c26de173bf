"""The AWS JSON 1.1 door: one request in, one answer out, both held to botocore's service model.

A handler is an object with one method per operation, in snake case: `handler.get_deployment(request) -> answer`. Both
are plain dictionaries in the shape of AWS; the door checks the first as AWS would, and the second so that a
mistake of ours is an InternalFailure here rather than a silent gap in some client.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from botocore import xform_name
from botocore.loaders import create_loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from shipit.sandbox.throttle import Throttle

log = logging.getLogger(__name__)

#: What a service answers to a bad parameter when no error of its own is named for it, the first it models.
_GENERIC_ERRORS = ("InvalidRequestException", "InvalidInputException")


class ApiError(Exception):
    """Refuse a request the way AWS does: a modelled error code, a message, an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Keep the three as `code`, `message` and `status`."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class JsonService:
    """Serve one AWS service of the JSON 1.1 protocol from a handler."""

    def __init__(self, service: str, handler: object, throttle: Throttle | None = None) -> None:
        """Name the service as botocore does (`codedeploy`, `athena`); its model is loaded on the first call."""
        self.service = service
        self.throttle = throttle or Throttle()
        self._handler = handler

    def handle(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Answer one call with an HTTP status and a JSON body; never raises.

        `operation` is the part of `X-Amz-Target` behind the dot. A handler's own mistake becomes a logged
        InternalFailure with status 500.
        """
        try:
            return 200, _encode(self._answer(operation, body))
        except ApiError as error:
            return error.status, _encode({"__type": error.code, "message": error.message})
        except Exception as error:
            log.exception("%s.%s failed", self.service, operation)
            return 500, _encode({"__type": "InternalFailure", "message": f"{type(error).__name__}: {error}"})

    def _answer(self, operation: str, body: bytes) -> Any:
        if self.throttle.refuses(operation):
            raise ApiError("ThrottlingException", "Rate exceeded")
        model = service_model(self.service)
        if operation not in model.operation_names:
            raise ApiError("UnknownOperationException", f"{self.service} has no operation {operation}")
        method = getattr(self._handler, xform_name(operation), None)
        if method is None:
            raise ApiError("UnknownOperationException", f"the sandbox does not offer {self.service} {operation}")
        operation_model = model.operation_model(operation)
        answer = method(_Request(operation_model).read(body))
        shape = operation_model.output_shape
        return {} if shape is None else _serialize(shape, answer, operation)


@cache
def service_model(service: str) -> ServiceModel:
    """Load botocore's model of a service, once."""
    return ServiceModel(create_loader().load_service_model(service, "service-2"), service)


class _Request:
    """Read the body of one operation, and refuse what the model does not allow."""

    def __init__(self, operation: OperationModel) -> None:
        self._shape = operation.input_shape
        self._errors = {shape.name for shape in operation.error_shapes}

    def read(self, body: bytes) -> dict[str, Any]:
        """Return the parameters; unknown ones are dropped, as AWS does with those of a newer client."""
        try:
            request = json.loads(body or b"{}")
        except ValueError as error:
            raise ApiError("SerializationException", f"the body is not JSON: {error}") from error
        if self._shape is None:
            return {}
        value: dict[str, Any] = self._check(self._shape, request, "", "")
        return value

    def _check(self, shape: Shape, value: Any, name: str, path: str) -> Any:
        if not _has_type(shape, value):
            raise ApiError("SerializationException", f"{path or 'the body'} must be of type {shape.type_name}")
        if isinstance(shape, StructureShape):
            return self._check_structure(shape, value, path)
        if isinstance(shape, ListShape):
            self._check_bounds(shape, len(value), name, path)
            return [self._check(shape.member, item, name, f"{path}[{i}]") for i, item in enumerate(value)]
        if isinstance(shape, MapShape):
            self._check_bounds(shape, len(value), name, path)
            return {key: self._check(shape.value, item, name, f"{path}.{key}") for key, item in value.items()}
        self._check_scalar(shape, value, name, path)
        return value

    def _check_structure(self, shape: StructureShape, value: dict[str, Any], path: str) -> dict[str, Any]:
        given = {key: item for key, item in value.items() if item is not None and key in shape.members}
        for key in shape.required_members:
            if key not in given:
                codes = (f"{part}RequiredException" for part in (_upper_first(key), shape.members[key].name))
                raise self._error(codes, f"{_join(path, key)} is required")
        return {key: self._check(shape.members[key], item, key, _join(path, key)) for key, item in given.items()}

    def _check_scalar(self, shape: Shape, value: Any, name: str, path: str) -> None:
        facts = shape.metadata
        if shape.type_name == "string":
            self._check_bounds(shape, len(value), name, path)
            if facts.get("enum") and value not in facts["enum"]:
                raise self._invalid(shape, name, f"{path} must be one of {', '.join(facts['enum'])}, not {value!r}")
            pattern = _compile(facts.get("pattern", ""))
            if pattern and not pattern.fullmatch(value):
                raise self._invalid(shape, name, f"{path} must match {facts['pattern']}, and {value!r} does not")
        elif shape.type_name in ("integer", "long", "float", "double"):
            self._check_bounds(shape, value, name, path)

    def _check_bounds(self, shape: Shape, size: float, name: str, path: str) -> None:
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if (low is not None and size < low) or (high is not None and size > high):
            what = "the value" if shape.type_name in ("integer", "long", "float", "double") else "the length"
            raise self._invalid(shape, name, f"{what} of {path} must lie between {low} and {high}, and is {size}")

    def _invalid(self, shape: Shape, name: str, message: str) -> ApiError:
        return self._error((f"Invalid{part}Exception" for part in (_upper_first(name), shape.name)), message)

    def _error(self, codes: Iterable[str], message: str) -> ApiError:
        """Pick the error that the operation models for the parameter, else its generic one, else AWS's."""
        wanted = (*codes, *_GENERIC_ERRORS)
        return ApiError(next((code for code in wanted if code in self._errors), "ValidationException"), message)


_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "blob": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


def _has_type(shape: Shape, value: Any) -> bool:
    # To Python a bool is an int; to the wire it is not.
    if isinstance(value, bool):
        return shape.type_name == "boolean"
    return isinstance(value, _PYTHON_TYPES[shape.type_name])


def _serialize(shape: Shape, value: Any, path: str) -> Any:
    """Return `value` ready for JSON; raises TypeError for what the output shape does not know."""
    try:
        return _plain(shape, value)
    except _Misfit as misfit:
        raise TypeError(f"{path}{misfit.path} {misfit.reason}") from None


class _Misfit(Exception):
    """Carry the path from a value that does not fit up to the answer: a thousand rows that fit need no paths."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.path = ""


def _plain(shape: Shape, value: Any) -> Any:
    if type(value) is str and shape.type_name == "string":
        return value
    if isinstance(shape, StructureShape):
        return _plain_structure(shape, value)
    if isinstance(shape, ListShape):
        return [_plain(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {key: _plain(shape.value, item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.timestamp()
    if not _has_type(shape, value):
        raise _Misfit(f"must be of type {shape.type_name}, not {type(value).__name__}")
    return value


def _plain_structure(shape: StructureShape, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Misfit(f"must be a dict, not {type(value).__name__}")
    members, plain, key = shape.members, {}, ""
    try:
        for key, item in value.items():
            if key not in members:
                raise _Misfit("is no member")
            if item is not None:
                plain[key] = _plain(members[key], item)
    except _Misfit as misfit:
        misfit.path = f".{key}{misfit.path}"
        raise
    return plain


@cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    """Compile a pattern of the model; None for those that are Java's alone (surrogate ranges in Athena's)."""
    try:
        return re.compile(pattern) if pattern else None
    except re.error:
        return None


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _upper_first(name: str) -> str:
    return name[:1].upper() + name[1:]


def _encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
