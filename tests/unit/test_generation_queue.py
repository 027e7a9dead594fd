"""What the thread that draws tells the event loop of its steps."""

import time

from deployments.image.generation_queue import TELLING_S, GeneratedImage, GenerationRequest
from serve_app.core.message import Progress

STEPS = 2_000


async def test_many_short_steps_are_told_of_now_and_then() -> None:
    order = GenerationRequest(1, steps=STEPS)
    begun = time.monotonic()
    for step in range(STEPS):
        order.advance([0], step + 1)
    took_s = time.monotonic() - begun
    order.post(GeneratedImage(0, image=None, was_cached=False, was_blacked=False))
    told = [event async for event in order.events() if isinstance(event, Progress)]
    assert (told[0].current, told[-1].current) == (1, STEPS)
    assert 2 <= len(told) <= took_s / TELLING_S + 2


async def test_every_long_step_is_told_of() -> None:
    order = GenerationRequest(2, steps=2)
    for step in (1, 2):
        time.sleep(1.2 * TELLING_S)
        order.advance([0, 1], step)
    for index in (0, 1):
        order.post(GeneratedImage(index, image=None, was_cached=False, was_blacked=False))
    told = [event.current async for event in order.events() if isinstance(event, Progress)]
    assert told == [2, 4]
