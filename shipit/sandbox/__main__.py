"""Run the daemon in the foreground: `python -m shipit.sandbox STATE_FOLDER`, the folder with its config.json."""

import sys
from pathlib import Path

from shipit.sandbox.server import main

if len(sys.argv) != 2:
    sys.exit(__doc__)
main(Path(sys.argv[1]))
