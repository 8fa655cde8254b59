"""Region ids on the API calls of the thread that is in the region."""

from __future__ import annotations

import threading

from harness.record.cupti.attribution import REGION
from harness.record.cupti.binding import Cupti
from harness.record.regions import OpenRegion


class RegionIds:
    """A listener that attaches the id of the innermost region to the thread's API calls."""

    def __init__(self, cupti: Cupti) -> None:
        self._cupti = cupti
        self._attached: dict[int, int] = {}
        self.problems: list[str] = []

    def opened(self, region: OpenRegion) -> None:
        """Attach the id."""
        self._cupti.push(REGION, region.id)
        self._attached[region.id] = threading.get_ident()

    def closed(self, region: OpenRegion) -> None:
        """Detach it, unless the region was open before recording on a thread not asked then."""
        if self._attached.pop(region.id, None) is None:
            return
        if self._cupti.pop(REGION) != region.id:
            self.problems.append(
                f"region {region.name!r} was not the innermost when it ended: kernels near its "
                "end may be attributed to another region"
            )

    def detach_rest(self) -> None:
        """Detach what is still open on this thread."""
        here = threading.get_ident()
        for region, thread in list(self._attached.items()):
            if thread == here:
                del self._attached[region]
                self._cupti.pop(REGION)
