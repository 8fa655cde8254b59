"""The process-wide state that vLLM keeps per engine, held per side instead."""

from __future__ import annotations

import atexit
import functools
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Engine:
    """One side's configuration, and what vLLM's worker sets up for it once per process.

    Args:
        config: a ``VllmConfig``.
        device: where its modules, caches and workspace live.
    """

    def __init__(self, config: Any, device: torch.device) -> None:
        from vllm.model_executor.layers import rotary_embedding
        from vllm.v1.worker.workspace import WorkspaceManager

        # rotary tables are cached per process; emptied, so that each side builds its own
        rotary_embedding._ROPE_DICT.clear()
        self.config = config
        self.device = device
        config.device_config.device = device
        self._workspace: Any = WorkspaceManager(device, None)
        with self.scope():
            _join_process_group(device)

    @property
    def layers(self) -> dict[str, Any]:
        """Attention layers of this engine by name; they register themselves when built."""
        layers: dict[str, Any] = self.config.compilation_config.static_forward_context
        return layers

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Make this engine the current one: configuration, IR op priorities, workspace.

        The worker process of a served model sets the priorities once at start-up; without them
        RMSNorm silently runs its slow native implementation.
        """
        import vllm.ir.op as ir_op
        from vllm.config import set_current_vllm_config
        from vllm.v1.worker import workspace

        wrap = self.config.compilation_config.ir_enable_torch_wrap
        previous = workspace._manager
        workspace._manager = self._workspace
        try:
            with ExitStack() as stack:
                stack.enter_context(set_current_vllm_config(self.config))
                stack.enter_context(self.config.kernel_config.ir_op_priority.set_priority())
                stack.enter_context(ir_op.enable_torch_wrap(bool(wrap)))
                yield
        finally:
            workspace._manager = previous

    @contextmanager
    def forward_scope(self, forward_context: Any) -> Iterator[None]:
        """`scope` without gradients, with attention metadata: what surrounds a forward.

        Args:
            forward_context: a vLLM ``ForwardContext``.
        """
        import torch
        from vllm.forward_context import override_forward_context

        with torch.inference_mode(), self.scope(), override_forward_context(forward_context):
            yield

    @contextmanager
    def build_scope(self) -> Iterator[None]:
        """`scope` for building a module in the model's dtype on the engine's device."""
        import torch

        before = torch.get_default_dtype()
        torch.set_default_dtype(self.config.model_config.dtype)
        try:
            with self.scope(), self.device:
                yield
        finally:
            torch.set_default_dtype(before)

    def close(self) -> None:
        """Let go of layers, caches and workspace."""
        for layer in self.layers.values():
            layer.kv_cache = None
        self.layers.clear()
        self._workspace = None


def _join_process_group(device: torch.device) -> None:
    """Make the one-rank groups that vLLM's linear layers ask for, unless there are any."""
    import torch
    from vllm.distributed import (
        ensure_model_parallel_initialized,
        init_distributed_environment,
        model_parallel_is_initialized,
    )

    if model_parallel_is_initialized():
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    address = f"tcp://127.0.0.1:{_free_port()}"
    own = not torch.distributed.is_initialized()
    init_distributed_environment(1, 0, address, device.index or 0, backend)
    ensure_model_parallel_initialized(1, 1)
    _leave_at_exit(own)


@functools.cache  # one handler of each kind, however often groups are made
def _leave_at_exit(own: bool) -> None:
    """Destroy the groups when Python exits; NCCL warns about those that are left open.

    Args:
        own: torch's process group was made here too, and is destroyed with vLLM's.
    """
    from vllm.distributed import destroy_distributed_environment, destroy_model_parallel

    steps = [destroy_model_parallel]
    if own:
        steps.append(destroy_distributed_environment)

    def leave() -> None:
        for destroy in steps:  # they do nothing where others have already cleaned up
            with suppress(Exception):  # whatever fails, the process ends as it would have
                destroy()

    atexit.register(leave)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
