"""Make the bundle of the commit at HEAD, here or on another machine, through an Invoke Context.

shell.py       run a script through the Context, wherever that runs it
git.py         what git says: facts of the commit, tracked and untracked files
workspace.py   where the checkout lies, and how its files come here
standard.py    appspec.yml and scripts/, which come with the tool
collect.py     which files go into the bundle, under which names
copy.py        a copy of the repository, to build other commits in
make.py        the verb: all of it in order
"""

from shipit.build.copy import Copy
from shipit.build.git import Git
from shipit.build.make import build, name_build, read_facts, survey
from shipit.build.shell import Shell
from shipit.build.workspace import LocalWorkspace, Workspace

__all__ = ["Copy", "Git", "LocalWorkspace", "Shell", "Workspace", "build", "name_build", "read_facts", "survey"]
