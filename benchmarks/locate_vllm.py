"""DeepSeek-V3.2 of vLLM with several decoder layers and dense MLPs, as one side.

vLLM's GPUModelRunner loads the model and runs the steps of the case; what it called the model with
in the last step, and the forward context of that, are kept, and a call of the side repeats it: the
same tokens go to the same slots, so that nothing has to be put back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.adapters import gpu
from ops.adapters.vllm import packages, plan
from ops.adapters.vllm.build import check_case
from ops.adapters.vllm.capture import Call, captured
from ops.adapters.vllm.config import Sizes, engine_config, model_values
from ops.adapters.vllm.engine import Engine
from ops.adapters.vllm.reference import RunnerReference
from ops.case import Case
from ops.sides import Side
from ops.spec import OpSpec

if TYPE_CHECKING:
    import torch

REGIONS = "model.layers.*.self_attn"
"""Paths of the operator in the module of the side."""


class WholeModel(RunnerReference):
    """The runner's model after the last step of a case.

    Attributes:
        model: what the runner calls; vLLM's decorated inner model does not run hooks.
        call: its arguments and forward context in the last step.
    """

    model: torch.nn.Module
    call: Call

    def _run(self, layer: torch.nn.Module, forward: Any) -> None:
        del layer  # the whole model is called again, not one of its layers
        self.model = self._runner.get_model()
        steps = plan.steps(self._case)
        for step in steps:
            with captured(self.model) as calls:
                forward(step, step is steps[-1])
            (self.call,) = calls

    def again(self) -> Any:
        """Call the model as in the last step."""
        return self.model(*self.call.args, **self.call.kwargs)


def whole_model(op: OpSpec, case: Case, layers: int, device: str) -> Side:
    """The model with its past in the caches; a call runs the new tokens of ``case``.

    Args:
        layers: decoder layers, all with dense MLPs.
        device: ``cuda``.
    """
    import torch

    check_case(case)
    gpu.require_device("vllm", device)
    packages.require_vllm()
    where = torch.device("cuda", torch.cuda.current_device())
    values = model_values(op, case, {"num_hidden_layers": layers, "first_k_dense_replace": layers})
    sizes = Sizes.of(case)
    engine = Engine(engine_config(values, sizes), where)
    made = WholeModel(engine, case, sizes, op.submodule)
    return Side(
        "model",
        made.again,
        module=made.model,
        describe=f"{type(made.model).__name__} of GPUModelRunner with {layers} layers",
        context=lambda: engine.forward_scope(made.call.forward_context),  # without gradients
    )
