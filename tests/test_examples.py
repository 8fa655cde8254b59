"""The examples of the README run as they are."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.drop_in_support import sidecar_of

ROOT = Path(__file__).parent.parent


def example(name, folder, *arguments):
    """Run an example in a folder, as a user does."""
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["align_two_callables", "collect_with_alignment"])
def test_an_example_finds_its_sides_aligned(name, tmp_path):
    done = example(name, tmp_path)
    assert done.returncode == 0, done.stderr
    assert any(line.startswith("aligned - ") for line in done.stdout.splitlines()), done.stdout


def test_the_dsa_collector_says_that_it_is_reduced_and_writes_a_sidecar(tmp_path):
    sizes = ("--mode", "generation", "--batch_sizes", "1", "2", "--seq_lens", "4096", "--tp", "8")
    done = example(
        "collect_dsa", tmp_path, *sizes, "--device", "cpu", "--framework", "transformers"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("REDUCED for the CPU: 4096 tokens -> 256")
    with (tmp_path / "dsa_generation_perf.txt").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = sidecar_of(tmp_path / "dsa_generation_perf.txt")
    assert [row["batch_size"] for row in rows] == ["1", "2"]
    assert [line["key"]["batch_size"] for line in lines] == [1, 2]
    assert {line["verdict"] for line in lines} == {"aligned"}
    assert lines[1]["calls"][0]["case"]["batch_size"] == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_the_dsa_collector_refuses_to_run_without_a_gpu_unless_told_to(tmp_path):
    done = example("collect_dsa", tmp_path)
    assert done.returncode == 2
    assert "use --device cpu for a reduced run" in done.stderr
    assert list(tmp_path.iterdir()) == []
