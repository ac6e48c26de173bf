"""Read appspec.yml with the eyes of the CodeDeploy agent: what it would refuse, and what people regret.

The facts are those of reference codedeploy.md, section 3, and of the open-source agent 1.x.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterator, Mapping

import yaml

from shipit.appspec.model import LONGEST_EVENT, AppSpec, FileMapping, Finding, Hook, Permission
from shipit.models import Severity

#: The events that may have scripts, in the order in which they run in place.
HOOKS = (
    "BeforeBlockTraffic",
    "AfterBlockTraffic",
    "ApplicationStop",
    "BeforeInstall",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
    "BeforeAllowTraffic",
    "AfterAllowTraffic",
)
_RESERVED_HOOKS = ("BlockTraffic", "DownloadBundle", "Install", "AllowTraffic")
_BEHAVIORS = ("DISALLOW", "OVERWRITE", "RETAIN")
_TOP = ("version", "os", "files", "permissions", "hooks", "file_exists_behavior")
_SCRIPT = ("location", "timeout", "runas", "sudo")
_MAPPING = ("source", "destination")
_PERMISSION = ("object", "pattern", "except", "owner", "group", "mode", "acls", "context", "type")


def read_appspec(text: bytes, *, name: str = "appspec.yml") -> tuple[AppSpec, tuple[Finding, ...]]:
    """Return what the file orders and all that is wrong with it, in the order of its lines.

    Where there are errors the AppSpec holds what could be read. `name` is what findings call the file.
    """
    reader = _Reader(name)
    appspec = reader.read(text)
    return appspec, tuple(sorted(dict.fromkeys(reader.findings), key=lambda f: (f.line, f.column)))


class _Reader:
    """Walk the nodes of the document, for only they know their lines."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.findings: list[Finding] = []

    def read(self, text: bytes) -> AppSpec:
        try:
            self._check_anchors(text)
            document = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            self._refuse_syntax(error)
            return AppSpec()
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self._add(None, f"is not YAML text: {' '.join(str(error).split())}", "save it as UTF-8")
            return AppSpec()
        if document is None:
            self._add(None, "the file is empty", "write `version: 0.0`, `os: linux`, `files` and `hooks`")
            return AppSpec()
        top = self._table(document, _TOP, "the top level")
        if not top:
            return AppSpec()
        self._check_version(document, top.get("version"))
        self._check_os(document, top.get("os"))
        return AppSpec(
            files=tuple(self._files(top.get("files"))),
            permissions=tuple(self._permissions(top.get("permissions"))),
            hooks=dict(self._hooks(top.get("hooks"))),
            file_exists_behavior=self._behavior(top.get("file_exists_behavior")),
        )

    # The document as such

    def _refuse_syntax(self, error: yaml.MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        tab = "'\\t'" in (error.problem or "")
        self.findings.append(
            Finding(
                file=self._name,
                line=mark.line + 1 if mark else 0,
                column=mark.column + 1 if mark else 0,
                reason="a tab indents this line" if tab else f"is not YAML: {error.problem or error.context}",
                fix="indent with spaces" if tab else "correct the line, or the one above it",
            )
        )

    def _check_anchors(self, text: bytes) -> None:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.NodeEvent) and event.anchor:
                mark = "*" if isinstance(event, yaml.AliasEvent) else "&"
                self._add(event, f"the agent refuses YAML's anchors ({mark}{event.anchor})", "write the value out")

    def _check_version(self, document: yaml.Node, node: yaml.Node | None) -> None:
        if node is None:
            self._add(document, "version is missing", "add `version: 0.0`")
        elif not isinstance(node, yaml.ScalarNode) or node.style or not re.fullmatch(r"0(\.0*)?", node.value):
            self._add(node, f"version is not the number 0.0 but {_shown(node)}", "write `version: 0.0`, unquoted")

    def _check_os(self, document: yaml.Node, node: yaml.Node | None) -> None:
        if node is None:
            self._add(document, "os is missing", "add `os: linux`")
        elif _text(node) != "linux":
            self._add(node, f"os is {_shown(node)}", "write `os: linux`: shipit deploys to Linux")

    def _behavior(self, node: yaml.Node | None) -> str:
        if node is None:
            return ""
        value = _text(node)
        if value not in _BEHAVIORS:
            near = difflib.get_close_matches(value.upper(), _BEHAVIORS, n=1)
            fix = f"write {near[0]}" if near else f"write one of {', '.join(_BEHAVIORS)}"
            self._add(node, f"file_exists_behavior is {_shown(node)}", fix)
            return ""
        return value

    # files, permissions, hooks

    def _files(self, node: yaml.Node | None) -> Iterator[FileMapping]:
        for item in self._items(node, "files"):
            table = self._table(item, _MAPPING, "files")
            source, destination = self._needed(item, table, "source"), self._needed(item, table, "destination")
            if not source or not destination:
                continue
            path = posixpath.normpath(source.lstrip("/") or ".")
            if path.startswith(".."):
                self._add(table["source"], f"the source {source!r} leads outside of the bundle", "name a path in it")
            elif source.startswith("/") and path != ".":
                self._warn(
                    table["source"],
                    f"the source {source!r} starts at the bundle's top",
                    f"write `source: {path}`",
                )
            if not destination.startswith("/"):
                self._add(
                    table["destination"],
                    f"the destination {destination!r} is relative",
                    "write an absolute path: the agent's own folder is nobody's business",
                )
            yield FileMapping(
                source="" if path == "." else path, destination=destination, line=item.start_mark.line + 1
            )

    def _permissions(self, node: yaml.Node | None) -> Iterator[Permission]:
        for item in self._items(node, "permissions"):
            table = self._table(item, _PERMISSION, "permissions")
            name = self._needed(item, table, "object")
            types = tuple(self._texts(table.get("type"), "type")) or Permission.types
            if odd := [t for t in types if t not in Permission.types]:
                self._add(table["type"], f"type {odd[0]!r} does not exist", "write file or directory")
            yield Permission(
                object=name,
                pattern=_text(table.get("pattern")) or "**",
                excluded=tuple(self._texts(table.get("except"), "except")),
                owner=_text(table.get("owner")),
                group=_text(table.get("group")),
                mode=self._mode(table.get("mode")),
                types=types,
            )

    def _mode(self, node: yaml.Node | None) -> str:
        value = _text(node)
        if node is None:
            return ""
        if isinstance(node, yaml.ScalarNode) and not node.style and re.fullmatch(r"0\d+", value):
            self._add(
                node, f"YAML reads mode {value} as another number", f'write `mode: {value.lstrip("0")}` or "{value}"'
            )
        elif not re.fullmatch(r"[0-7]{1,4}", value):
            self._add(node, f"mode {_shown(node)} is not one to four octal digits", "write `mode: 755` or the like")
        return value

    def _hooks(self, node: yaml.Node | None) -> Iterator[tuple[str, tuple[Hook, ...]]]:
        for key, value in self._table(node, (*HOOKS, *_RESERVED_HOOKS), "hooks", strict=True).items():
            if key in _RESERVED_HOOKS:
                self._add(value, f"{key} is the agent's own event and takes no script", "use one beside it")
                continue
            if key == "ApplicationStop":
                self._warn(
                    value,
                    "ApplicationStop runs from the build that is installed: once broken, it blocks every later build",
                    "stop the old process in AfterInstall or ApplicationStart",
                )
            items = self._items(value, key)
            if not items:
                self._add(value, f"{key} has no script", "list one, or remove the event")
            hooks = tuple(hook for item in items if (hook := self._hook(item)))
            total = sum(hook.timeout for hook in hooks)
            if total > LONGEST_EVENT and len(hooks) > 1:
                self._warn(
                    value,
                    f"the timeouts of {key} come to {total} s; CodeDeploy ends an event after {LONGEST_EVENT} s",
                    "give each script a timeout (the default is 3600)",
                )
            yield key, hooks

    def _hook(self, node: yaml.Node) -> Hook | None:
        table = self._table(node, _SCRIPT, "a script")
        location = self._needed(node, table, "location").strip()
        if not location:
            return None
        if posixpath.normpath(location.lstrip("/")).startswith(".."):
            self._add(table["location"], f"{location!r} leads outside of the bundle", "name a path in it")
            return None
        mark = table["location"].start_mark
        return Hook(
            location=posixpath.normpath(location.lstrip("/")),
            timeout=self._timeout(table.get("timeout")),
            runas=_text(table.get("runas")),
            line=mark.line + 1,
            column=mark.column + 1,
        )

    def _timeout(self, node: yaml.Node | None) -> int:
        if node is None:
            return LONGEST_EVENT
        value = _text(node)
        if not re.fullmatch(r"[1-9]\d*", value):
            self._add(node, f"timeout {_shown(node)} is not a positive number of seconds", "write `timeout: 300`")
            return LONGEST_EVENT
        if int(value) > LONGEST_EVENT:
            self._add(node, f"timeout {value} is above CodeDeploy's {LONGEST_EVENT} s", "write 3600 or less")
        return int(value)

    # Shapes

    def _table(
        self, node: yaml.Node | None, known: tuple[str, ...], where: str, *, strict: bool = False
    ) -> dict[str, yaml.Node]:
        """Return the values of a mapping; `strict` where the agent refuses unknown keys instead of skipping them."""
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._add(node, f"{where} is not a map but {_shown(node)}", f"known keys: {', '.join(known)}")
            return {}
        table: dict[str, yaml.Node] = {}
        for key, value in node.value:
            word = _text(key)
            if word in table:
                self._add(key, f"{word} stands here twice; the last one would win", "keep one")
            if word in known:
                table[word] = value
                continue
            near = _nearest(word, known)
            fix = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
            if strict:
                self._add(key, f"{word!r} is unknown in {where}: the deployment would fail at Install", fix)
            else:
                self._warn(key, f"{word!r} is unknown in {where}, so it is ignored", fix)
        return table

    def _items(self, node: yaml.Node | None, where: str) -> list[yaml.Node]:
        if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._add(node, f"{where} is not a list", "begin each entry with `- `")
            return []
        return list(node.value)

    def _texts(self, node: yaml.Node | None, where: str) -> Iterator[str]:
        return (_text(item) for item in self._items(node, where))

    def _needed(self, node: yaml.Node, table: Mapping[str, yaml.Node], key: str) -> str:
        value = _text(table.get(key))
        if not value and isinstance(node, yaml.MappingNode):
            self._add(table.get(key) or node, f"{key} is missing", f"add `{key}: …`")
        return value

    def _add(
        self, at: yaml.Node | yaml.Event | None, reason: str, fix: str, severity: Severity = Severity.ERROR
    ) -> None:
        mark = at.start_mark if at else None
        self.findings.append(
            Finding(
                file=self._name,
                line=mark.line + 1 if mark else 0,
                column=mark.column + 1 if mark else 0,
                reason=reason,
                fix=fix,
                severity=severity,
            )
        )

    def _warn(self, at: yaml.Node, reason: str, fix: str) -> None:
        self._add(at, reason, fix, Severity.WARNING)


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return repr(node.value) if node.value else "empty"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a map"


def _nearest(word: str, known: tuple[str, ...]) -> str:
    """Return the known key that `word` may mean, whatever its case and its dashes."""
    plain = {k.lower().replace("_", ""): k for k in known}
    near = difflib.get_close_matches(re.sub(r"[-_ ]", "", word.lower()), plain, n=1, cutoff=0.7)
    return plain[near[0]] if near else ""
