"""The console script ``harness`` and what every command does with its errors."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from harness.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE, HarnessError

VERBS = {
    "analyze": "harness.analyze.command:analyze",
    "compare": "harness.compare.command:compare",
    "doctor": "harness.doctor.command:doctor",
    "locate": "harness.locate.command:locate",
    "nsys": "harness.nsys.command:nsys",
    "record": "harness.record.command:record",
}
"""Verb -> where its click command is."""


def run_command(command: click.Command, argv: Sequence[str] | None = None) -> int:
    """Run a click command and turn whatever happens into an exit code and at most one line.

    Args:
        command: returns its exit code, or None for 0.
        argv: arguments without the program's name; by default those of the process.

    Returns:
        The exit code: 2 for wrong input, 130 when interrupted, 70 for an internal error (its
        traceback only with ``--debug``), otherwise what the command or the error says.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = command.main(arguments, standalone_mode=False)
    except HarnessError as error:
        return _fail(str(error), error.exit_code, "--debug" in arguments)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else command.name
        return _fail(f"{error.format_message().rstrip('.')}; see {where} --help", EXIT_USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), EXIT_USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", EXIT_INTERRUPTED)
    except Exception as error:  # noqa: BLE001  the one place that catches all, to say exit 70
        text = f"internal error: {type(error).__name__}: {error}"
        return _fail(text, EXIT_INTERNAL, "--debug" in arguments)
    return code if isinstance(code, int) else 0


def _fail(text: str, code: int, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    hint = "; run it with --debug for the traceback" if code == EXIT_INTERNAL and not debug else ""
    click.echo("error: " + " ".join(text.split()) + hint, err=True)
    return code


class _Verbs(click.Group):
    """Loads a verb only when it is used, so that ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="operator-alignment-harness", prog_name="harness")
def harness() -> None:
    """Prove that an operator benchmark launches the kernels of the real model layer."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(run_command(harness, argv))
