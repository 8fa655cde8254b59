"""Weights of both sides: the same seeded values, or an honest list of those that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

INITIALIZER_RANGE = 0.02
"""Standard deviation of matrices, as in the published config.json (initializer_range)."""

NOT_SHARED = "weights are not shared, on request"
"""The one entry of ``Sides.unshared_weights`` when nothing was to be copied."""


def initialize(module: torch.nn.Module, seed: int) -> None:
    """Fill every parameter, in name order, with seeded values: matrices N(0, 0.02), norms near 1.

    Norm weights are not exactly 1, so that leaving a norm out shows. Parameters on the meta
    device have no values and are left alone.

    Args:
        module: parameters are changed in place.
        seed: of a generator on the parameters' device.
    """
    import torch

    generators: dict[torch.device, torch.Generator] = {}
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            if parameter.is_meta or not parameter.is_floating_point():
                continue
            if parameter.device not in generators:
                generators[parameter.device] = torch.Generator(parameter.device).manual_seed(seed)
            random = generators[parameter.device]
            mean = 1.0 if parameter.dim() == 1 and not name.endswith("bias") else 0.0
            parameter.normal_(mean, INITIALIZER_RANGE, generator=random)


def share(
    source: torch.nn.Module, target: torch.nn.Module, *, buffers: bool
) -> tuple[int, list[str]]:
    """Copy tensors of ``source`` to those of the same name and shape in ``target``.

    Args:
        source: of the reference.
        target: of the mock.
        buffers: copy buffers as well as parameters; else they stay each side's own.

    Returns:
        How many tensors agree now, and one phrase for each that could not be copied.
    """
    import torch

    theirs, ours = _tensors(source, buffers), _tensors(target, buffers)
    problems = [f"{name}: only in the reference" for name in sorted(theirs.keys() - ours.keys())]
    problems += [f"{name}: only in the mock" for name in sorted(ours.keys() - theirs.keys())]
    copied = 0
    with torch.no_grad():
        for name in sorted(theirs.keys() & ours.keys()):
            one, other = theirs[name], ours[name]
            if one.shape != other.shape:
                problems.append(
                    f"{name}: {list(one.shape)} in the reference, {list(other.shape)} in the mock"
                )
                continue
            if not one.is_meta:
                other.copy_(one)
            copied += 1
    return copied, problems


def _tensors(module: torch.nn.Module, buffers: bool) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = dict(module.named_parameters())
    return found | dict(module.named_buffers()) if buffers else found
