"""Names of kernels: identity (raw), display (short), and what may be declared equivalent."""

from harness.names.demangle import demangle
from harness.names.display import display_name
from harness.names.equivalence import SHIPPED, EquivalenceClass, apply
from harness.names.families import family
from harness.names.identity import identity_key, identity_keys

__all__ = [
    "SHIPPED",
    "EquivalenceClass",
    "apply",
    "demangle",
    "display_name",
    "family",
    "identity_key",
    "identity_keys",
]
