"""Prepares a Python process to be recorded. Never stands in its way: the script runs regardless.

Python imports the module of this name when it starts. One that this file hides is imported after
it, as it would have been. Any version of Python may come here, so nothing recent is used.
"""

import os
import sys


def _prepare() -> None:
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  pathlib loads slowly
    sys.path[:] = [one for one in sys.path if os.path.abspath(one or ".") != here]  # noqa: PTH100
    if "HARNESS_RECORD" not in os.environ or sys.version_info < (3, 11):
        return
    try:
        from importlib.machinery import SourceFileLoader
        from importlib.util import module_from_spec, spec_from_loader

        # By its path, so that no module of the script's own named harness is hidden.
        name, path = "_harness_record_inside", os.path.dirname(here)  # noqa: PTH120
        loader = SourceFileLoader(name, os.path.join(path, "inside.py"))  # noqa: PTH118
        spec = spec_from_loader(name, loader)
        assert spec is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
        module.install()
    except Exception as error:  # noqa: BLE001
        sys.stderr.write("harness record: this process is not recorded (%r)\n" % (error,))  # noqa: UP031


def _import_hidden() -> None:
    this = sys.modules.pop(__name__)
    try:
        __import__(__name__)  # the next one on sys.path
    except ImportError as error:
        if error.name != __name__:
            raise
    finally:
        sys.modules.setdefault(__name__, this)


if __name__ == "sitecustomize":
    _prepare()
    _import_hidden()
