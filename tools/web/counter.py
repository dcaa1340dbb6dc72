#!/usr/bin/env python3
"""examples/python/worker.py, which prints each request's data as a line.

So the test knows what reached a worker, whatever the gateway says about it.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "examples" / "python"))
import worker  # noqa: E402


def run(data, variables):
    print(data.decode("utf-8", "backslashreplace"), flush=True)
    return [data]


worker.run = run
worker.main()
