#!/usr/bin/env python3
"""Sends a tone in FM to fm_demod.py through the gateway, and looks at what comes out.

    /usr/bin/python3 tone.py --url http://127.0.0.1:8080 --plot tone.png

It ends with 1 if what comes out is not that tone, clean and of the right loudness.
"""
import argparse
import pathlib
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "python"))
from client import Gateway  # noqa: E402

SEED = 7  # the same noise every time


def modulate(tone, seconds, samp_rate, deviation, noise):
    """Returns the samples of a carrier whose frequency swings with the tone."""
    t = numpy.arange(int(seconds * samp_rate)) / samp_rate
    phase = deviation / tone * numpy.sin(2 * numpy.pi * tone * t)  # the integral of 2π·deviation·cos(2π·tone·t)
    random = numpy.random.default_rng(SEED)
    hiss = random.normal(size=(2, t.size), scale=noise / numpy.sqrt(2))
    return (numpy.exp(1j * phase) + hiss[0] + 1j * hiss[1]).astype("<c8")


def spectrum(audio, rate):
    """Returns frequencies and the amplitude at each: a sine of amplitude 1 peaks at 1."""
    window = numpy.hanning(audio.size)
    return numpy.fft.rfftfreq(audio.size, 1 / rate), 2 / window.sum() * numpy.abs(numpy.fft.rfft(audio * window))


def measure(audio, rate):
    """Returns the frequency and amplitude of the strongest tone, and its dB over all else."""
    frequencies, amplitudes = spectrum(audio - audio.mean(), rate)
    peak = int(amplitudes.argmax())
    near = slice(max(peak - 3, 0), peak + 4)  # what the window makes of one frequency
    power = amplitudes**2
    frequency = (frequencies[near] * power[near]).sum() / power[near].sum()
    amplitude = numpy.sqrt(power[near].sum() / 1.5)  # 1.5: how far the window spreads it
    return frequency, amplitude, 10 * numpy.log10(power[near].sum() / (power.sum() - power[near].sum()))


def plot(path, samples, samp_rate, audio, rate, title):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (sent, wave, tones) = pyplot.subplots(3, 1, figsize=(9, 9), layout="constrained")
    figure.suptitle(title)
    sent.psd(samples, NFFT=4096, Fs=samp_rate / 1e3, linewidth=0.8)
    sent.set(title="what was posted", xlabel="kHz from the carrier", ylabel="dB/Hz")
    some = audio[: int(rate * 0.005)]
    wave.plot(1e3 * numpy.arange(some.size) / rate, some)
    wave.set(title="what came back: the first 5 ms", xlabel="ms", ylabel="amplitude")
    frequencies, amplitudes = spectrum(audio, rate)
    tones.plot(frequencies / 1e3, 20 * numpy.log10(amplitudes + 1e-9), linewidth=0.8)
    tones.set(title="and its spectrum", xlabel="kHz", ylabel="dB", ylim=(-110, 10))
    for axes in (wave, tones):
        axes.grid(True)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway (%(default)s)")
    parser.add_argument("--service", default="fm_demod", help="(%(default)s)")
    parser.add_argument("--tone", type=float, default=1000, help="Hz (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of signal (%(default)s)")
    parser.add_argument("--samp-rate", type=int, default=250_000, help="samples a second (%(default)s)")
    parser.add_argument("--decim", type=int, default=5, help="of them that make one of audio (%(default)s)")
    parser.add_argument("--deviation", type=float, default=75_000, help="Hz (%(default)s)")
    parser.add_argument("--noise", type=float, default=0.1, help="beside the carrier's 1 (%(default)s)")
    parser.add_argument("--plot", metavar="PNG", help="draw what was sent and what came back")
    options = parser.parse_args()

    samples = modulate(options.tone, options.seconds, options.samp_rate, options.deviation, options.noise)
    variables = {"samp_rate": options.samp_rate, "decim": options.decim, "deviation": options.deviation}
    reply = Gateway(options.url).call_raw(options.service, samples.tobytes(), variables)

    rate = options.samp_rate / options.decim
    audio = numpy.frombuffer(reply, "<f4")[int(rate * 0.01) :]  # without the filter's start
    want = int(options.seconds * rate)
    if abs(len(reply) / 4 - want) > 1:
        raise SystemExit(f"{len(reply)} bytes came back, want about {want} samples of 4 bytes")
    frequency, amplitude, clean = measure(audio, rate)
    print(f"a tone of {frequency:.2f} Hz, amplitude {amplitude:.3f}, {clean:.1f} dB over all else")
    if options.plot:
        plot(options.plot, samples, options.samp_rate, audio, rate, f"{options.tone:g} Hz, FM, through {options.service}")
    if abs(frequency - options.tone) > 1 or abs(amplitude - 1) > 0.05 or clean < 25:
        raise SystemExit(f"want a tone of {options.tone:.2f} Hz ± 1, amplitude 1 ± 0.05, 25 dB over all else")
    print("all as it should be")


if __name__ == "__main__":
    main()
