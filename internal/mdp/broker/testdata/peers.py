"""Peers of others at a broker, as their authors wrote them: REQ and DEALER sockets with the
ids that libzmq gives them. Usage: peers.py ENDPOINT PADDED_ENDPOINT. It ends with an error
unless every frame is as those peers expect it."""

import sys
import threading

import zmq

PATIENCE = 20_000  # ms


class Socket:
    """A socket of its own context, so that every peer is a program of its own."""

    def __init__(self, kind, endpoint):
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.linger = 0
        self.socket.rcvtimeo = PATIENCE
        self.socket.connect(endpoint)

    def send(self, *frames):
        self.socket.send_multipart(frames)

    def receive(self):
        return self.socket.recv_multipart()

    def close(self):
        self.socket.close()
        self.context.term()


def work(worker, head, heartbeat):
    """Returns the client and the body of the next request."""
    while True:
        frames = worker.receive()
        if frames == head + [heartbeat]:
            continue
        assert frames[: len(head) + 1] == head + [b"\x02"] and frames[len(head) + 2] == b"", frames
        return frames[len(head) + 1], frames[len(head) + 3 :]


def php(endpoint):
    """zguide's worker in PHP: no empty frame after the client of a reply."""
    w = Socket(zmq.DEALER, endpoint)
    w.send(b"", b"MDPW01", b"\x01", b"php")
    return w, [b"", b"MDPW01"], b"\x04", lambda client, body: w.send(b"", b"MDPW01", b"\x03", client, *body)


def jheise(endpoint):
    """jheise's worker: a frame after the service of READY."""
    w = Socket(zmq.DEALER, endpoint)
    w.send(b"", b"MDPW01", b"\x01", b"jheise", b"0")
    return w, [b"", b"MDPW01"], b"\x04", lambda client, body: w.send(b"", b"MDPW01", b"\x03", client, b"", *body)


def majortomo(endpoint):
    """majortomo's worker: version 0.2 behind an empty frame, with a part before the reply."""
    w = Socket(zmq.DEALER, endpoint)
    w.send(b"", b"MDPW02", b"\x01", b"majortomo")

    def reply(client, body):
        w.send(b"", b"MDPW02", b"\x03", client, b"", b"part")
        w.send(b"", b"MDPW02", b"\x04", client, b"", *body)

    return w, [b"", b"MDPW02"], b"\x05", reply


def serve(start, endpoint, ready, requests):
    worker, head, heartbeat, reply = start(endpoint)
    ready.set()
    for _ in range(requests):
        reply(*work(worker, head, heartbeat))
    worker.close()


BODY = [b"\x00\xff", b"", b"end"]


def ask(endpoint, service, kind, request, replies):
    """A client asks and must get these frames. A REQ hides the first, empty frame."""
    client = Socket(kind, endpoint)
    client.send(*request, service, *BODY)
    for head in replies:
        want = head + ([b"part"] if head[-1:] == [b"PART"] else BODY)
        want = [service if f == b"NAME" else f for f in want if f != b"PART"]
        got = client.receive()
        assert got == want, (service, request, got, want)
    client.close()


# What each kind of client sends before the service, and the replies that it gets.
CLIENTS = [
    ("zguide", zmq.REQ, [b"MDPC01"], [[b"MDPC01", b"NAME"]]),
    ("zguide's asynchronous", zmq.DEALER, [b"", b"MDPC01"], [[b"", b"MDPC01", b"NAME"]]),
    ("loudify", zmq.REQ, [b"C01"], [[b"C01", b"NAME", b""]]),
    ("mdp/0.2", zmq.DEALER, [b"MDPC02", b"\x01"], [[b"MDPC02", b"\x02", b"NAME", b"PART"], [b"MDPC02", b"\x03", b"NAME"]]),
    ("majortomo", zmq.DEALER, [b"", b"MDPC02", b"\x02"], [[b"", b"MDPC02", b"\x03", b"PART"], [b"", b"MDPC02", b"\x04"]]),
    ("majortomo, of a REQ", zmq.REQ, [b"MDPC02", b"\x02"], [[b"MDPC02", b"\x04"]]),
]


def main(endpoint, padded):
    for name, start in ("php", php), ("jheise", jheise), ("majortomo", majortomo):
        ready = threading.Event()
        clients = [c for c in CLIENTS if name != "majortomo" or c[0] != "majortomo, of a REQ"]  # it reads one message
        thread = threading.Thread(target=serve, args=(start, endpoint, ready, len(clients)))
        thread.start()
        ready.wait()
        for _, kind, request, replies in clients:
            # Workers of version 0.1 send no parts.
            ask(endpoint, name.encode(), kind, request, replies if name == "majortomo" else replies[-1:])
        thread.join()
        print(name, "answered", len(clients), "kinds of clients")
    ready = threading.Event()
    thread = threading.Thread(target=serve, args=(jheise, padded, ready, 1))
    thread.start()
    ready.wait()
    ask(padded, b"jheise", zmq.REQ, [b"MDPC01"], [[b"MDPC01", b"NAME", b""]])
    thread.join()
    print("jheise's client got a padded reply")


main(*sys.argv[1:])
