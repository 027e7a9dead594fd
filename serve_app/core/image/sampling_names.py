"""What samplers and schedules are called in a text that is written before it is known which were
used: places in it are left open, and filled in by whoever has generated.
"""

from serve_app.core.image.samplers import ImageSampling, Sampler, Schedule
from serve_app.core.message import Message

SAMPLER_SLOT, SCHEDULE_SLOT = "\ufdd0", "\ufdd1"
"""Characters that Unicode keeps free for such purposes. In a text the last one counts, behind
everything that a client has written.
"""
SECOND_SAMPLER_SLOT, SECOND_SCHEDULE_SLOT = "\ufdd2", "\ufdd3"
"""Those of a second pass."""


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

    def filled_second(self, text: str, used: ImageSampling) -> str:
        """The text with what a second pass has used."""
        text = _with_last(text, SECOND_SAMPLER_SLOT, self.sampler(used))
        return _with_last(text, SECOND_SCHEDULE_SLOT, self.schedule(used))


def of_second_pass(text: str) -> str:
    """A text in which the first pass is told already, for the pass that is left."""
    text = _with_last(text, SECOND_SAMPLER_SLOT, SAMPLER_SLOT)
    return _with_last(text, SECOND_SCHEDULE_SLOT, SCHEDULE_SLOT)


def _with_last(text: str, slot: str, name: str) -> str:
    before, found, after = text.rpartition(slot)
    return f"{before}{name}{after}" if found else text
