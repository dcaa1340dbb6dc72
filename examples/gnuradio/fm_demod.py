#!/usr/bin/env python3
"""A worker that runs a GNU Radio flowgraph: an FM demodulator.

    /usr/bin/python3 fm_demod.py --broker tcp://127.0.0.1:5555

A request is complex samples (cf32, as GNU Radio's file sinks write them) and the
vars below; the reply is the audio (f32) at samp_rate/decim samples a second. It
needs Debian's gnuradio and python3-zmq.
"""
import math
import pathlib
import sys

import numpy
from gnuradio import analog, blocks, filter, gr
from gnuradio.filter import firdes

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "python"))
import worker  # noqa: E402  registering, heartbeats, reading vars: what every worker does


class FMDemod(gr.top_block):
    """The flowgraph. A tone of full deviation comes out with the amplitude 1."""

    def __init__(self, samples, samp_rate=250_000, decim=5, deviation=75_000):
        super().__init__("fm_demod")
        # A worker cannot know who has checked the vars before; a huge decim would
        # make a filter of as many taps.
        if not (samp_rate > 0 and 1 <= decim <= 100 and 0 < deviation <= samp_rate / 2):
            raise ValueError(f"samp_rate {samp_rate}, decim {decim}, deviation {deviation}: out of range")
        audio_rate = samp_rate / decim
        self.audio = blocks.vector_sink_f()
        self.connect(
            blocks.vector_source_c(samples),
            analog.quadrature_demod_cf(samp_rate / (2 * math.pi * deviation)),
            filter.fir_filter_fff(decim, firdes.low_pass(1, samp_rate, 0.4 * audio_rate, 0.1 * audio_rate)),
            self.audio,
        )


def run(data, variables):
    """Runs the flowgraph over one request's samples.

    Whatever it raises, such as for bytes that are no whole samples, the caller
    is answered that the flowgraph failed, and the worker lives on.
    """
    flowgraph = FMDemod(numpy.frombuffer(data, "<c8"), **variables)
    flowgraph.run()  # until the samples are used up, which the heartbeats do not wait for
    return [numpy.asarray(flowgraph.audio.data(), "<f4").tobytes()]


if __name__ == "__main__":
    worker.run = run
    if "--service" not in sys.argv:
        sys.argv += ["--service", "fm_demod"]
    worker.main()
