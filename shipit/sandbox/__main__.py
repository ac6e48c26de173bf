"""Run the daemon in the foreground: `python -m shipit.sandbox STATE_FOLDER`."""

import sys
from pathlib import Path

from shipit.sandbox.server import main

main(Path(sys.argv[1]))
