#!/usr/bin/env python3
"""A Majordomo worker that runs flowgraphs, as loudify's runners do.

    python3 worker.py --broker tcp://127.0.0.1:5555 --service lora

A request is one data frame, and after it the vars as Python prints a dict. This
worker answers with the data as it came and the vars as it read them; put your
work into run(). It needs pyzmq (Debian: python3-zmq).

Never unpickle data here unless you trust everyone who may call the service.
"""
import argparse
import ast
import concurrent.futures
import logging
import signal
import socket
import time

import zmq

READY, REQUEST = b"\x01", b"\x02"
# Each dialect's first frames, and its command bytes for a reply, HEARTBEAT, DISCONNECT.
DIALECTS = {
    "mdp/0.1": ([b"", b"MDPW01"], b"\x03", b"\x04", b"\x05"),
    "mdp/0.2": ([b"MDPW02"], b"\x04", b"\x05", b"\x06"),
    "loudify": ([b"", b"W01"], b"\x03", b"\x04", b"\x05"),
}
FAILED = [b"\x06"]  # loudify's reply for a flowgraph that failed
LIVENESS = 4  # heartbeats that a broker may miss


def run(data, variables):
    """The work: replace it. The var "seconds" makes it as slow as a flowgraph."""
    time.sleep(variables.get("seconds", 0))
    return [data, repr(variables).encode("ascii", "backslashreplace")]


def answer(frames):
    """Runs one request. Whatever is wrong with it, the worker lives on."""
    try:
        data = frames.pop(0) if frames else b""
        variables = ast.literal_eval(frames.pop(0).decode("utf-8")) if frames else {}
        return run(data, variables)
    except Exception:
        logging.exception("request failed")
        return FAILED


class Worker:
    def __init__(self, options):
        self.options = options
        self.header, self.reply, self.heartbeat, self.disconnect = DIALECTS[options.dialect]
        self.context, self.poller, self.dealer = zmq.Context(), zmq.Poller(), None
        # The work has a thread of its own, so that heartbeats go on meanwhile.
        # Its end and signals wake the loop through a socket.
        self.pool, self.job, self.stopping = concurrent.futures.ThreadPoolExecutor(1), None, False
        self.woken, self.wake = socket.socketpair()
        self.wake.setblocking(False)
        self.poller.register(self.woken, zmq.POLLIN)
        signal.set_wakeup_fd(self.wake.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def stop(self, *_):
        self.stopping = True

    def send(self, *frames):
        self.dealer.send_multipart([*self.header, *frames])

    def connect(self):
        """Registers on a new socket; what comes for the old one is lost with it."""
        if self.dealer:
            self.poller.unregister(self.dealer)
            self.dealer.close(linger=0)
        self.dealer = self.context.socket(zmq.DEALER)
        self.dealer.connect(self.options.broker)
        self.poller.register(self.dealer, zmq.POLLIN)
        self.send(READY, self.options.service.encode("ascii"))
        self.job = None
        self.seen = self.beaten = time.monotonic()
        logging.info("registered %s at %s", self.options.service, self.options.broker)

    def loop(self):
        self.connect()
        while not self.stopping or self.job:
            ready = dict(self.poller.poll(self.options.heartbeat * 1000 / 2))
            if self.woken.fileno() in ready:
                self.woken.recv(64)
            if self.job and self.job[1].done():
                (client, work), self.job = self.job, None
                self.send(self.reply, client, b"", *work.result())
            if self.dealer in ready:
                self.receive(self.dealer.recv_multipart())
            now = time.monotonic()
            if now - self.seen > self.options.heartbeat * LIVENESS:
                logging.warning("broker lost")
                self.connect()
            elif now - self.beaten >= self.options.heartbeat:
                self.send(self.heartbeat)
                self.beaten = now
        self.send(self.disconnect)
        self.dealer.close(linger=1000)
        self.context.term()

    def receive(self, message):
        self.seen = time.monotonic()  # whatever it is, the broker lives
        header, (command, *frames) = message[: len(self.header)], message[len(self.header) :] or [b""]
        if header == self.header and command == REQUEST:
            client, _, *body = frames
            work = self.pool.submit(answer, body)
            self.job = client, work
            work.add_done_callback(lambda _: self.wake.send(b"\0"))
        elif header == self.header and command == self.disconnect:
            time.sleep(self.options.heartbeat / 4)  # a broker that refuses us is not to be flooded
            self.connect()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", default="tcp://127.0.0.1:5555", help="where the broker listens (%(default)s)")
    parser.add_argument("--service", default="python", help="the name to serve (%(default)s)")
    parser.add_argument("--dialect", default="loudify", choices=DIALECTS, help="what is spoken to the broker (%(default)s)")
    parser.add_argument("--heartbeat", default=2.5, type=float, help="seconds between heartbeats (%(default)s)")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    Worker(parser.parse_args()).loop()


if __name__ == "__main__":
    main()
