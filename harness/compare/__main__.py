"""``python -m harness.compare``."""

import sys

from harness.cli import run_command
from harness.compare.command import compare

if __name__ == "__main__":
    sys.exit(run_command(compare))
