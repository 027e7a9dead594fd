"""What samplers and schedules are called in a text that is written before it is known which were
used: places in it are left open, and filled in by whoever has generated.
"""

from serve_app.core.image.samplers import ImageSampling, Sampler, Schedule
from serve_app.core.message import Message

SAMPLER_SLOT, SCHEDULE_SLOT = "\ufdd0", "\ufdd1"
"""Characters that Unicode keeps free for such purposes. In a text the last one counts, behind
everything that a client has written.
"""


class SamplingNames(Message):
    """`automatic` is the schedule that a sampler has by itself."""

    samplers: dict[Sampler, str]
    schedules: dict[Schedule, str]
    automatic: str

    def sampler(self, used: ImageSampling) -> str:
        """The sampler's; empty where the model's own was used."""
        return "" if used.sampler is None else self.samplers.get(used.sampler, used.sampler)

    def schedule(self, used: ImageSampling) -> str:
        """The schedule's."""
        if used.schedule is None:
            return self.automatic
        return self.schedules.get(used.schedule, used.schedule)

    def filled(self, text: str, used: ImageSampling) -> str:
        """The text with what was used."""
        text = _with_last(text, SAMPLER_SLOT, self.sampler(used))
        return _with_last(text, SCHEDULE_SLOT, self.schedule(used))


def _with_last(text: str, slot: str, name: str) -> str:
    before, found, after = text.rpartition(slot)
    return f"{before}{name}{after}" if found else text
