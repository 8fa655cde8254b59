"""cupti-python as its samples use it, for `benchmarks.recorder`."""

from __future__ import annotations

import ctypes
import importlib.metadata
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.recorder_peers import Seen

MIB = 1 << 20
BYTES_PER_RECORD = 128
"""Room per raw record in a buffer of cupti-python: eager streams come to 93 bytes in the mean and
graphs to 216 with few others, so a recording needs one or two buffers, given back at the flush."""

KERNEL, CUSTOM0 = 10, 3
COPIES = frozenset({1, 2, 22})
"""Kinds of activity beside kernels: memcpy, memset, peer memcpy."""


class CuptiPython:
    """cupti-python's record objects; three fields of a kernel, one of any other record are kept.

    The API calls are filtered as in the harness, so that there are as many records per launch.
    """

    def prepare(self) -> dict[str, Any]:
        """Import torch first, which maps the one libcupti, then cupti-python."""
        import torch
        from cupti import cupti

        from harness.record.cupti.session import KINDS

        self._kinds = [cupti.ActivityKind(int(kind)) for kind in KINDS]
        self._probe = torch.zeros(1, device="cuda")
        self._cupti: Any = cupti
        self._registered = False
        self._size = 0
        self._kept: list[Any] = []
        self._activities = 0
        self._callback_ns = 0
        self._errors: list[str] = []
        return {"cupti-python": importlib.metadata.version("cupti-python")}

    def _requested(self) -> tuple[int, int]:
        return self._size, 0

    def _completed(self, activities: Any) -> None:
        began = time.perf_counter_ns()
        try:
            self._read(activities)
        except Exception as error:  # noqa: BLE001  cupti-python would swallow it silently
            self._errors.append(f"{type(error).__name__}: {error}")
        self._callback_ns += time.perf_counter_ns() - began

    def _read(self, activities: Any) -> None:
        keep = self._kept.append
        count = 0
        for record in activities:
            kind = record.kind
            if kind == KERNEL:
                keep((record.name, record.start, record.end))
                count += 1
            else:
                keep(record.correlation_id)
                count += kind in COPIES
        self._activities += count

    def _keep_apis(self) -> None:
        from harness.record.cupti.apis import puts_work_on_device
        from harness.record.cupti.binding import DRIVER_DOMAIN, RUNTIME_DOMAIN

        for domain, switch in (
            (RUNTIME_DOMAIN, self._cupti.activity_enable_runtime_api),
            (DRIVER_DOMAIN, self._cupti.activity_enable_driver_api),
        ):
            for cbid, name in self._names(domain):
                if not puts_work_on_device(name):
                    switch(cbid, 0)

    def _names(self, domain: int) -> Iterator[tuple[int, str]]:
        cbid = 1
        while True:
            try:
                name = self._cupti.get_callback_name(domain, cbid)
            except self._cupti.cuptiError:
                return
            if not name:
                return
            yield cbid, str(name)
            cbid += 1

    def start(self, records: int) -> None:
        """Register once, switch the kinds on, attach one external id, prime with a launch."""
        self._size = max(8, records * BYTES_PER_RECORD // MIB + 1) * MIB
        if not self._registered:
            self._cupti.activity_register_callbacks(self._requested, self._completed)
            self._registered = True
        for kind in self._kinds:
            self._cupti.activity_enable(kind)
        self._keep_apis()
        self._cupti.activity_push_external_correlation_id(CUSTOM0, 1)
        self._probe.fill_(1)

    def stop(self) -> None:
        """Wait for the device, flush, switch the kinds off."""
        import torch

        self._cupti.activity_pop_external_correlation_id(CUSTOM0)
        torch.cuda.synchronize()
        self._cupti.activity_flush_all(0)
        for kind in reversed(self._kinds):
            self._cupti.activity_disable(kind)

    def seen(self) -> Seen:
        """What the callbacks kept; ``callback_us`` is their time, on whatever thread."""
        dropped = ctypes.c_size_t()
        self._cupti.activity_get_num_dropped_records(0, 0, ctypes.addressof(dropped))
        return Seen(
            records=len(self._kept),
            activities=self._activities - 1,  # without that of `start`
            dropped=dropped.value,
            values={"callback_us": self._callback_ns / 1e3},
            problems=tuple(self._errors),
        )

    def release(self) -> None:
        """Forget the records."""
        self._kept = []
        self._activities = self._callback_ns = 0
        self._errors = []
