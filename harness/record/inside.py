"""In the recorded process: waits for CUDA, records until the process ends, writes what came.

Loaded by path when Python starts, so it imports nothing that is slow to import. It writes one
status file per process, ``<pid>.json``, and the Trace as ``<pid>.parquet`` into the folder that the
options name; `harness.record.foreign` reads them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

OPTIONS = "HARNESS_RECORD"
"""Environment variable: a JSON object with ``folder``, ``root``, ``recorder``, ``apis``, ``nvtx``
and ``injection`` (the user's own NVTX_INJECTION64_PATH, or None)."""

INJECTION = "NVTX_INJECTION64_PATH"

STARTED, TORCH, RECORDING, WRITTEN, FAILED = "started", "torch", "recording", "written", "failed"
"""How far a process came: Python ran, torch was imported, CUDA was initialised and is recorded, the
Trace is written; or why there is none."""


def install() -> None:
    """Arrange for this process to be recorded once it uses CUDA; called when Python starts."""
    import json

    Inside(json.loads(os.environ[OPTIONS])).install()


class Inside:
    """The recording of this process.

    Args:
        options: what `OPTIONS` holds.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._notes: list[str] = []
        self._injected = ""
        self._process = 0
        self._opened: Any = None
        self._recording: Any = None

    def install(self) -> None:
        """Wait for the import of torch; torch itself says when CUDA is initialised."""
        if self._options["root"] not in sys.path:
            sys.path.append(self._options["root"])  # behind all others: hides nothing
        if self._options["nvtx"]:
            self._inject()
        self._report(STARTED)
        sys.meta_path.insert(0, AfterTorch(self._torch_imported))

    def _inject(self) -> None:
        """NVTX reads the variable when the first range is made, in whatever library."""
        if self._options["injection"] is not None:
            self._notes.append(
                f"NVTX ranges are recorded only if {INJECTION}, which was set already, names the "
                "libcupti of torch"
            )
            return
        self._injected = find_libcupti(sys.path, os.environ)
        if self._injected:
            os.environ[INJECTION] = self._injected
        else:
            self._notes.append("NVTX ranges are not recorded: no libcupti is beside torch")

    def _torch_imported(self, torch: Any) -> None:
        self._report(TORCH)
        torch.cuda._lazy_call(self.start)

    def start(self) -> None:
        """Start the recorder. Whatever goes wrong is reported, and the script runs on."""
        try:
            from harness.plugins import load_plugin
            from harness.record.choose import BUILT_IN, RECORDERS_GROUP

            made = load_plugin(self._options["recorder"], RECORDERS_GROUP, BUILT_IN)
            # No residual: torch is inside its initialisation, where only its own calls may run.
            options = {"apis": self._options["apis"], "nvtx": self._options["nvtx"]}
            opened = made(**options, residual=False).record()
            self._check_injection()
            self._recording = opened.__enter__()
        except Exception as error:  # noqa: BLE001  a script must not fail because it is recorded
            self._fail(error)
            return
        self._opened, self._process = opened, os.getpid()
        self._report(RECORDING)
        self._at_the_end()

    def _check_injection(self) -> None:
        if not self._injected:
            return
        from harness.record.cupti.library import mapped_libraries

        paths = mapped_libraries()
        if paths and os.path.realpath(self._injected) not in paths:
            self._notes.append(
                "NVTX ranges may be missing: torch uses another libcupti than the one beside it"
            )

    def _at_the_end(self) -> None:
        import atexit

        atexit.register(self.finish)
        multiprocessing = sys.modules.get("multiprocessing")
        if multiprocessing is not None and multiprocessing.parent_process() is not None:
            # A forked worker of multiprocessing ends without exit handlers, but not without these.
            from multiprocessing.util import Finalize

            Finalize(None, self.finish, exitpriority=0)

    def finish(self) -> None:
        """Stop the recorder and write the Trace; does nothing in a fork, nor the second time."""
        if self._opened is None or os.getpid() != self._process:
            return
        opened, self._opened = self._opened, None
        try:
            from harness.trace import write_trace

            opened.__exit__(None, None, None)
            path = os.path.join(self._options["folder"], f"{self._process}")  # noqa: PTH118
            write_trace(self._recording.trace, f"{path}.writing")
            os.replace(f"{path}.writing", f"{path}.parquet")  # noqa: PTH105
        except BaseException as error:  # noqa: BLE001  Ctrl-C too: the exit code is the script's
            self._fail(error)
        else:
            self._report(WRITTEN)

    def _fail(self, error: BaseException) -> None:
        code = getattr(error, "exit_code", None)
        text = str(error) if code is not None else f"{type(error).__name__}: {error}"
        if isinstance(error, ImportError) and code is None:
            text, code = f"the recorder cannot be imported in this process ({text})", 2
        self._report(FAILED, error=" ".join(text.split()), exit_code=code or 70)

    def _report(self, stage: str, **more: Any) -> None:
        import json

        status = {"stage": stage, "notes": self._notes, **more}
        path = os.path.join(self._options["folder"], f"{os.getpid()}")  # noqa: PTH118
        try:
            with open(f"{path}.status", "w") as file:  # noqa: PTH123
                json.dump(status, file)
            os.replace(f"{path}.status", f"{path}.json")  # noqa: PTH105
        except OSError:
            pass  # the folder is gone: this process has outlived the command that recorded it


class AfterTorch:
    """A finder that calls ``then(torch)`` after torch has been imported, and then goes away."""

    def __init__(self, then: Any) -> None:
        self._then = then

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """What the other finders find; the loader of torch is made to report."""
        if name != "torch":
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    self._watch(spec.loader)
                return spec
        return None

    def _watch(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            loader.__dict__.pop("exec_module", None)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            try:
                self._then(module)
            except Exception as error:  # noqa: BLE001  torch has been imported; that is what counts
                sys.stderr.write(f"harness record: this process is not recorded ({error!r})\n")

        loader.exec_module = exec_module


def find_libcupti(path: list[str], environ: Any) -> str:
    """The libcupti that this process's torch is going to use; empty where none is found.

    Args:
        path: folders of installed packages: NVIDIA's wheels, then torch's own libraries.
        environ: for LD_LIBRARY_PATH and CUDA_HOME, where a torch without those wheels finds it.
    """
    join = os.path.join
    for entry in path:
        nvidia = join(entry, "nvidia")
        found = _libraries(join(nvidia, name, "lib") for name in _names(nvidia))
        found = found or _libraries([join(entry, "torch", "lib")])
        if found:
            return max(found, key=os.path.basename)
    cuda = environ.get("CUDA_HOME", "/usr/local/cuda")
    folders = environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    folders += [join(cuda, "extras", "CUPTI", "lib64"), join(cuda, "lib64")]
    return next(iter(_libraries(one for one in folders if one)), "")


def _libraries(folders: Iterable[str]) -> list[str]:
    return [
        os.path.join(folder, name)  # noqa: PTH118
        for folder in folders
        for name in sorted(_names(folder))
        if name.startswith("libcupti") and ".so" in name
    ]


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  pathlib is slow to import
    except OSError:
        return []
