"""``python -m harness.analyze``."""

import sys

from harness.analyze.command import analyze
from harness.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command(analyze))
