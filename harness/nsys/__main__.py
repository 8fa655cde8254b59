"""``python -m harness.nsys``."""

import sys

from harness.cli import run_command
from harness.nsys.command import nsys

if __name__ == "__main__":
    sys.exit(run_command(nsys))
