#!/bin/bash
# espeak-ng 1.52.0, as espeakng-loader 0.2.4 brings it.
#
# One would guess: a rule-based synthesizer says the same text, with the same voice, in the same samples; what is random in it
# (the noise of breath and consonants) is fixed by espeak_ng_SetRandSeed, whose name promises that.
# Instead: two calls in one process never give the same samples, with the seed set before each of them or not, because its state
# goes on from call to call (the first take of a new process is the same as that of the last one). A test that compares speech
# byte by byte, a cache that is checked by a hash of the audio, or an expectation of what a recogniser understands of "the"
# recording needs a recording that is kept.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "espeakng-loader==0.2.4"
cat >"$folder/seen.py" <<'PYTHON'
import ctypes
import hashlib

import espeakng_loader

library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_Info.restype = ctypes.c_char_p
taken = bytearray()
Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@Callback
def take(samples: object, count: int, _: object) -> int:
    if samples and count > 0:
        taken.extend(ctypes.string_at(samples, 2 * count))
    return 0


def spoken(*, seeded: bool) -> bytes:
    taken.clear()
    if seeded:
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        ctypes.CDLL(None).srand(1)
    text = b"one two three\0"
    assert library.espeak_Synth(text, len(text), 0, 1, 0, 1, None, None) == 0
    return bytes(taken)


rate = library.espeak_Initialize(2, 60, str(espeakng_loader.get_data_path()).encode(), 0)
library.espeak_SetSynthCallback(take)
assert library.espeak_SetVoiceByName(b"en-us") == 0
print("version", library.espeak_Info(None).decode(), "at", rate, "Hz")
first = spoken(seeded=True)
for seeded in (False, True):
    takes = [spoken(seeded=seeded) for _ in range(6)]
    assert all(len(one) > 20_000 for one in takes)
    print(f"seeded before each call: {seeded}; 6 takes, of which different: {len(set(takes))}")
    assert len(set(takes)) == 6
print("first seeded take of this process:", hashlib.sha256(first).hexdigest()[:12])
PYTHON
for _ in 1 2; do
  "$folder/venv/bin/python" "$folder/seen.py" | tee -a "$folder/printed"
done
[ "$(grep 'first seeded take' "$folder/printed" | sort -u | wc -l)" = 1 ]
