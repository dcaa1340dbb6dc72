"""Judges flowgraph vars as a worker's interpreter reads them.

Reads questions from stdin, each three chunks (a 4-byte big-endian length, then
bytes): a mode, a JSON text, and a frame made from it. Answers each with one
line: "ok", or what is wrong. Modes: "value" compares what the frame and the JSON
text mean; "str" and "ascii" also the frame's bytes with str() or ascii() of the
dict; "json" reads the frame as JSON.
"""
import ast
import json
import struct
import sys


def chunk():
    head = sys.stdin.buffer.read(4)
    if not head:
        sys.exit()
    return sys.stdin.buffer.read(struct.unpack(">I", head)[0])


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b)  # -0.0 is not 0.0
    return a == b


def judge(mode, text, frame):
    want = json.loads(text)
    got = json.loads(frame) if mode == "json" else ast.literal_eval(frame.decode("utf-8"))
    if not same(want, got):
        return "means %a, want %a" % (got, want)
    printed = {"str": str, "ascii": ascii}.get(mode)
    if printed and frame != printed(want).encode("ascii"):
        return "want %s" % printed(want)
    return "ok"


while True:
    mode, text, frame = chunk().decode("ascii"), chunk(), chunk()
    try:
        answer = judge(mode, text, frame)
    except Exception as e:
        answer = repr(e)
    print(answer, flush=True)
