#!/bin/bash
# pocketsphinx 5.1.1.
#
# One would guess: start_utt begins afresh, so that one decoder, given the same recording twice, says the same text twice; and
# whether the recording is given with full_utt or without is a matter of speed.
# Instead: the mean that features are normalised by is carried from utterance to utterance. The same speech is understood
# differently after a tone has been decoded: a server whose decoder is shared lets one caller's audio change the transcript of the
# next. full_utt=True is not enough; with reinit_feat before each recording as well, the texts are the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "pocketsphinx==5.1.1" "espeakng-loader==0.2.4" "numpy==2.3.5"
cat >"$folder/seen.py" <<'PYTHON'
import ctypes

import espeakng_loader
import numpy as np
from pocketsphinx import Decoder

RATE = 16_000
Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def spoken(text: bytes) -> bytes:
    """The first take of a process, which is always the same."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    taken = bytearray()

    @Callback
    def take(samples: object, count: int, _: object) -> int:
        if samples and count > 0:
            taken.extend(ctypes.string_at(samples, 2 * count))
        return 0

    rate = library.espeak_Initialize(2, 60, str(espeakng_loader.get_data_path()).encode(), 0)
    library.espeak_SetSynthCallback(take)
    library.espeak_SetVoiceByName(b"en-us+f5")
    library.espeak_SetParameter(1, 131, 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    ctypes.CDLL(None).srand(1)
    library.espeak_Synth(text, len(text), 0, 1, 0, 1, None, None)
    samples = np.frombuffer(bytes(taken), "<i2").astype(float)
    at = np.arange(0, len(samples), rate / RATE)
    return np.interp(at, np.arange(len(samples)), samples).astype("<i2").tobytes()


def understood(decoder: Decoder, pcm: bytes, *, whole: bool, afresh: bool) -> str:
    if afresh:
        decoder.reinit_feat()
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=whole)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""


speech = spoken(b"one two three four five six seven\0")
tone = (8000 * np.sin(2 * np.pi * 300 * np.arange(4 * RATE) / RATE)).astype("<i2").tobytes()
for whole, afresh in ((False, False), (True, False), (True, True)):
    decoder = Decoder(samprate=RATE, loglevel="FATAL")
    before = understood(decoder, speech, whole=whole, afresh=afresh)
    again = understood(decoder, speech, whole=whole, afresh=afresh)
    understood(decoder, tone, whole=whole, afresh=afresh)
    after = understood(decoder, speech, whole=whole, afresh=afresh)
    print(f"full_utt={whole}, reinit_feat={afresh}")
    print(f"  first:        {before}\n  second:       {again}\n  after a tone: {after}")
    assert (len({before, again, after}) == 1) is afresh
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
