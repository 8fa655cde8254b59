"""``python -m harness.locate``."""

import sys

from harness.cli import run_command
from harness.locate.command import locate

if __name__ == "__main__":
    sys.exit(run_command(locate))
