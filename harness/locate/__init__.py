"""The verb ``locate``: where an operator stands in the Trace of a whole model."""

from harness.locate.find import Request, locate
from harness.locate.located import Located, Occurrence

__all__ = ["Located", "Occurrence", "Request", "locate"]
