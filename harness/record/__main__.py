"""``python -m harness.record``."""

import sys

from harness.cli import run_command
from harness.record.command import record

if __name__ == "__main__":
    sys.exit(run_command(record))
