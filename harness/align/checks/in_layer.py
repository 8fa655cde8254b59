"""Does the submodule launch the same alone as inside its running layer?"""

from __future__ import annotations

from harness.align.checks.common import failed, passed, skipped
from harness.align.forwards import split_forwards
from harness.align.model import CheckResult
from harness.align.observation import Observation
from harness.align.streams import pair_streams
from harness.names import display_name, identity_keys


def in_layer(observed: Observation) -> CheckResult:
    """The reference called alone launches what it launches inside the running layer, eagerly."""
    layer, reference = observed.in_layer, observed.reference
    assert reference is not None
    if layer is None or layer.eager is None or not layer.eager_forwards:
        return skipped("in layer", "the reference was not recorded inside a running layer")
    if not reference.eager_forwards:
        return skipped("in layer", "the reference was not recorded eagerly")
    inside, alone = layer.eager_forwards[-1], reference.eager_forwards[-1]
    around = len(split_forwards(layer.eager)[-1]) - len(inside)
    pairs = pair_streams(alone, identity_keys(alone), inside, identity_keys(inside))
    lines = []
    for pair in pairs:
        for _, only_inside, only_alone in pair.edits():
            lines += [f"only inside the layer: {display_name(key)}" for key in only_inside]
            lines += [f"only alone: {display_name(key)}" for key in only_alone]
    if lines:
        text = f"{len(alone)} launches alone, {len(inside)} inside the running layer"
        return failed("in layer", text, lines)
    return passed(
        "in layer",
        f"the {len(alone)} of the reference alone are those inside the running layer, "
        f"which launches {around} around them",
    )
