"""The command line of ``doctor``."""

from __future__ import annotations

from functools import partial

import click
from rich.console import Console

from harness.doctor.document import document_json
from harness.doctor.examine import examine
from harness.doctor.machine import Machine
from harness.doctor.terminal import print_report
from harness.output import printed


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="Print the report as a JSON object.")
@click.option("--debug", is_flag=True, help="Show the traceback of a check that fails.")
def doctor(as_json: bool, debug: bool) -> int:
    """Check this machine: what works, what does not, and what to install or do.

    On a GPU a few tiny kernels are recorded live. Nothing is installed or changed.

    Exit code: 0 live kernel recording works here, 2 something is missing, 3 only another profiler
    is in the way.
    """
    report = examine(Machine(), debug=debug)
    if as_json:
        printed(partial(click.echo, document_json(report)))
    else:
        printed(partial(print_report, report, Console()))
    return report.exit_code
