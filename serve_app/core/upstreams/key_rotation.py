"""`KeyRotation`: which key of a provider is used next, after the provider has refused some."""

from collections.abc import Callable, Sequence

REFUSED = frozenset({401, 403})
BUSY = 429
REFUSED_PAUSE_S = 300.0
"""A key that was refused is seldom in force again by itself."""
BUSY_PAUSE_S = 30.0
LONGEST_PAUSE_S = 3600.0


class KeyRotation:
    """Remembers keys by their ids, in one process. `ticks` gives seconds that never go back."""

    def __init__(self, *, ticks: Callable[[], float]) -> None:
        self._ticks = ticks
        self._rests_until: dict[str, float] = {}

    def in_order(self, key_ids: Sequence[str]) -> tuple[str, ...]:
        """The keys as they are to be tried: those that work in their order, then those that rest,
        of which the one comes first that has to rest least. Keys that there are not any more are
        forgotten by `forget_all_but`.
        """
        now = self._ticks()
        rests = {key: self._rests_until.get(key, now) - now for key in key_ids}
        return tuple(sorted(key_ids, key=lambda key: max(0.0, rests[key])))

    def note(self, key_id: str, status: int, *, retry_after_s: float | None = None) -> bool:
        """What a provider has answered to a request with a key: whether another key may help."""
        if status not in REFUSED and status != BUSY:
            if status < 400:
                self._rests_until.pop(key_id, None)
            return False
        usual = BUSY_PAUSE_S if status == BUSY else REFUSED_PAUSE_S
        pause = usual if retry_after_s is None else max(0.0, retry_after_s)
        self._rests_until[key_id] = self._ticks() + min(pause, LONGEST_PAUSE_S)
        return True

    def forget_all_but(self, key_ids: Sequence[str]) -> None:
        """Keep what is known of these keys only."""
        kept = set(key_ids)
        self._rests_until = {key: at for key, at in self._rests_until.items() if key in kept}
