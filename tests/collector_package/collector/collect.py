"""One spawned worker at a time; exit code 10 asks for a new one that goes on."""

import multiprocessing
import os
import sys

import torch

from collector.helper import EXIT_CODE_RESTART

MODEL = torch.nn.Linear(32, 32)
HIDDEN_STATES = torch.ones(4, 32)
ON_DEVICE = {}


def reference():
    """What the model runs in the place of the linear layer, with 4 rows."""
    with torch.inference_mode():
        return MODEL(HIDDEN_STATES)


def reference_on_gpu():
    """The same on the current CUDA device."""
    if not ON_DEVICE:
        ON_DEVICE.update(model=torch.nn.Linear(32, 32, device="cuda"), x=HIDDEN_STATES.cuda())
    with torch.inference_mode():
        return ON_DEVICE["model"](ON_DEVICE["x"])


def worker(cases, done, perf_filename, per_worker, how, device):
    """Collect ``per_worker`` cases, then ask for a restart in the way that ``how`` names."""
    from collector.ops.collect_linear import run_linear

    for number in range(per_worker):
        with done.get_lock():
            at = done.value
            done.value += 1
        if at >= len(cases):
            return
        run_linear(cases[at], perf_filename, device)
        if how == "raise" and number == 0:
            raise ValueError("a case that fails")
    if how == "os._exit":
        os._exit(EXIT_CODE_RESTART)
    sys.exit(EXIT_CODE_RESTART)


def collect(cases, perf_filename, per_worker=2, how="sys.exit", device="cpu"):
    """Exit codes of the workers, in order."""
    context = multiprocessing.get_context("spawn")
    done, codes = context.Value("i", 0), []
    while done.value < len(cases):
        process = context.Process(
            target=worker, args=(cases, done, perf_filename, per_worker, how, device)
        )
        process.start()
        process.join()
        codes.append(process.exitcode)
    return codes
