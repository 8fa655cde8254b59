"""``python -m harness.doctor``."""

import sys

from harness.cli import run_command
from harness.doctor.command import doctor

if __name__ == "__main__":
    sys.exit(run_command(doctor))
