"""espeak-ng in a process of its own: one JSON request on stdin, one line of JSON and the samples on stdout.

    {"text": "…", "voice": "cmn+f3", "rate": 140, "range": 80}  ->  {"rate": 22050, "bytes": 123456}\\n<PCM16 mono, little-endian>
                                                                 or  {"error": {"code": "…", "message": "…"}}\\n  and exit status 1

The library is GPL-3 and keeps one global state that a bad text can crash: neither gets into the process that serves.
This file is run by its path and imports nothing of ours.
"""

import ctypes
import json
import sys
from typing import Any

SYNCHRONOUS, DO_NOT_EXIT, UTF8 = 2, 0x8000, 1
RATE, RANGE = 1, 4  # numbers of espeak_SetParameter


class Refusal(Exception):
    """The request cannot be done; args are code and message."""


def _library() -> tuple[Any, int]:
    try:
        import espeakng_loader

        library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path())
    except (ImportError, OSError, RuntimeError) as error:
        raise Refusal("espeak-missing", f"espeak-ng cannot be loaded: {error}") from error
    rate = int(library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DO_NOT_EXIT))
    if rate <= 0:
        raise Refusal("espeak-missing", f"espeak-ng found no data in {data}")
    # The breath of a voice is noise seeded from the clock (1.52): without a seed of ours two runs seconds apart differ.
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    return library, rate


def synthesise(request: dict[str, Any]) -> tuple[int, bytes]:
    """Sample rate and PCM16 mono of the request's text. Raises Refusal: unknown voice, refused setting or text."""
    library, rate = _library()
    samples = bytearray()

    def collect(wave: Any, count: int, _events: Any) -> int:
        if wave and count > 0:
            samples.extend(ctypes.string_at(wave, count * 2))
        return 0

    shape = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    callback = shape(collect)  # held in this frame while the library may call it
    library.espeak_SetSynthCallback(callback)
    # An unknown voice answers 2 and the library goes on with the voice it had: refuse instead.
    if library.espeak_SetVoiceByName(str(request["voice"]).encode()) != 0:
        raise Refusal("voice-unknown", f"espeak-ng has no voice {request['voice']!r}")
    for parameter, value in ((RATE, request["rate"]), (RANGE, request.get("range", 50))):
        if library.espeak_SetParameter(parameter, int(value), 0) != 0:
            raise Refusal("espeak-failed", f"espeak-ng refused parameter {parameter} = {value}")
    text = str(request["text"]).encode() + b"\0"
    if library.espeak_Synth(text, len(text), 0, 1, 0, UTF8, None, None) != 0 or library.espeak_Synchronize() != 0:
        raise Refusal("espeak-failed", "espeak-ng could not speak the text")
    return rate, bytes(samples)


def main() -> int:
    """Answer the request on stdin. 0: spoken; 1: refused."""
    try:
        rate, samples = synthesise(json.load(sys.stdin.buffer))
    except Refusal as refusal:
        code, message = refusal.args
        sys.stdout.write(json.dumps({"error": {"code": code, "message": message}}) + "\n")
        return 1
    sys.stdout.buffer.write(json.dumps({"rate": rate, "bytes": len(samples)}).encode() + b"\n" + samples)
    return 0


if __name__ == "__main__":
    sys.exit(main())
