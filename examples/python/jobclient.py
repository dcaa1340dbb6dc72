#!/usr/bin/env python3
"""Sends many requests now and receives their replies as they finish: loudify's asynchronous client over HTTP.

A script that has

    from loudify.async_client import Client
    client = Client("tcp://broker:5555")

moves with its import and the address changed:

    from jobclient import Client
    client = Client("http://gateway:8080")

Each request is a job of the gateway (docs/jobs.md). It survives lost connections, and takes as long as it takes.

    python3 jobclient.py --url http://127.0.0.1:8080

checks this at a gateway with the demo worker, as `make run` starts it. It needs Python's own library and client.py.
"""
import argparse
import base64
import collections
import json
import os
import queue
import sys
import threading
import time
import uuid

sys.dont_write_bytecode = True
from client import Gateway, Problem, check  # noqa: E402


class Reply(list):
    """The frames of a reply, as bytes, with the id that send returned and the service."""

    def __init__(self, frames, id, service):
        super().__init__(frames)
        self.id, self.service = id, service


class Client:
    """Sends with send and receives with recv, from any thread.

    waiters is how many jobs are watched at once, each with a connection of its own; more take turns.
    """

    def __init__(self, url, verbose=False, key=None, waiters=32):
        self.gateway, self.verbose, self.waiters = Gateway(url, key), verbose, waiters
        self.results = queue.Queue()  # Reply, Problem or what else recv raises
        self.lock = threading.Lock()
        self.sent = collections.deque()  # (id, service) that no thread watches; guarded by lock
        self.threads = 0  # guarded by lock
        self.open = 0  # jobs for which no recv waits; guarded by lock

    def send(self, service, request, **flowgraph_vars):
        """Sends a frame or a list of frames, and returns the id of the job once it is stored.

        Text is sent as UTF-8. Raises Problem if the gateway takes no more now, or not this.
        """
        service = text(service)
        frames = request if isinstance(request, (list, tuple)) else [request]
        envelope = {"frames": [encoded(frame) for frame in frames], "vars": flowgraph_vars}
        headers = {
            "Content-Type": "application/json",
            "Prefer": "respond-async",
            "Idempotency-Key": str(uuid.uuid4()),  # a request that is repeated makes no second job
        }
        body = json.dumps(envelope).encode()
        with again(lambda: self.gateway.post(service, body, headers)) as answer:
            if answer.status != 202:
                raise RuntimeError("this gateway makes no jobs of calls to " + service + ": see its --jobs")
            job = json.load(answer)
        with self.lock:
            self.open += 1
            self.sent.append((job["id"], service))
            if self.threads < self.waiters:
                self.threads += 1
                threading.Thread(target=self.watch, daemon=True).start()
        return job["id"]

    def recv(self, timeout=None):
        """Returns the next Reply, of whichever job ends first; None if nothing is to come, or not in so many seconds.

        Raises the Problem of a job that failed. Its id says which job that was.
        """
        with self.lock:
            if self.open == 0:
                return None
            self.open -= 1
        try:
            result = self.results.get(timeout=timeout)
        except queue.Empty:
            with self.lock:
                self.open += 1
            return None
        if isinstance(result, Exception):
            raise result
        return result

    def cancel(self, id):
        """Cancels a job. recv raises its Problem, whose executed says whether it may have run."""
        again(lambda: self.gateway.ask("POST", f"/jobs/{id}/cancel")).close()

    def result(self, job):
        """Reads what came of a job that is over."""
        if job["state"] != "done":
            raise Problem(job["problem"], None)
        headers = {"Accept": "application/json"}
        with again(lambda: self.gateway.ask("GET", f"/jobs/{job['id']}/reply", headers=headers)) as answer:
            return Reply([decoded(frame) for frame in json.load(answer)["frames"]], job["id"], job["service"])

    def watch(self):
        """Watches jobs until there are none."""
        while True:
            with self.lock:
                if not self.sent:
                    self.threads -= 1
                    return
                id, service = self.sent.popleft()
                wait = "1s" if self.sent else "50s"  # others have a turn soon
            try:
                with again(lambda: self.gateway.ask("GET", f"/jobs/{id}", wait=wait)) as answer:
                    job = json.load(answer)
                if job["state"] in ("queued", "running"):
                    with self.lock:
                        self.sent.append((id, service))
                    continue
                result = self.result(job)
            except Exception as error:
                result = error
                result.id, result.service = id, service
            if self.verbose:
                print(f"{id}: {result!r}", file=sys.stderr)
            self.results.put(result)


def again(ask, seconds=60):
    """Asks until there is an answer: a gateway that is restarted is away for a moment.

    Every request of the Client may be made twice.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except Problem as problem:
            if not problem.retryable or time.monotonic() > end:
                raise
        except OSError:  # no connection, or a proxy's own answer
            if time.monotonic() > end:
                raise
            time.sleep(1)


def text(name):
    return name.decode() if isinstance(name, bytes) else name


def encoded(frame):
    data = frame.encode() if isinstance(frame, str) else bytes(frame)
    return {"data": base64.b64encode(data).decode(), "encoding": "base64"}


def decoded(frame):
    return base64.b64decode(frame["data"]) if frame["encoding"] == "base64" else frame["data"].encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway (%(default)s)")
    parser.add_argument("--key", default=os.environ.get("KEY"), help="sent as Authorization: Bearer; default: $KEY")
    options = parser.parse_args()
    client = Client(options.url, key=options.key, waiters=4)

    slow = client.send("sleep", "5m")
    sent = {client.send("echo", bytes([0, 255, n]), sf=n, has_crc=False): n for n in range(20)}
    received = {}
    for _ in sent:
        reply = client.recv()
        received[reply.id] = list(reply)
    want = {id: [bytes([0, 255, n]), f"{{'sf': {n}, 'has_crc': False}}".encode()] for id, n in sent.items()}
    check("those that were sent later are received before the slow one", received == want, True)

    client.cancel(slow)
    try:
        check("a canceled job", client.recv(), "a problem")
    except Problem as problem:
        check("a canceled job", (problem.id == slow, problem.code), (True, "canceled"))
    check("nothing is to come", client.recv(), None)
    print("all as it should be")


if __name__ == "__main__":
    main()
