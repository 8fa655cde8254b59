"""``align_op``: alignment around code that already calls its operators."""

from harness.session.align_op import align_op
from harness.session.results import AlignmentSession

__all__ = ["AlignmentSession", "align_op"]
