"""Read appspec.yml and the hook scripts, and say beforehand what CodeDeploy would refuse on every instance.

model.py     what the file orders, and findings
reader.py    the document: its shape, keys and values
scripts.py   what it points at in the bundle: sources, scripts, and how these behave
"""

from shipit.appspec.model import AppSpec, FileMapping, Finding, Hook, Permission
from shipit.appspec.reader import read_appspec
from shipit.appspec.scripts import BundledFile, check_bundle

__all__ = [
    "AppSpec",
    "BundledFile",
    "FileMapping",
    "Finding",
    "Hook",
    "Permission",
    "check_bundle",
    "read_appspec",
]
