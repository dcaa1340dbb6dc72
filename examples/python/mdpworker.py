"""Serves Python functions as services of a Majordomo (MDP) broker. It needs pyzmq alone.

    from mdpworker import Failure, Request, Worker

    worker = Worker("tcp://127.0.0.1:5555")

    @worker.service("upper")
    def upper(request: Request) -> bytes:
        if not request.data:
            raise Failure("there is nothing to do")
        return request.data.upper()

    worker.run()  # until SIGTERM or SIGINT

A function gets a Request and returns the reply: bytes, a str, or a list of them, its frames. If it
is a generator, what it yields is sent ahead as PARTIALs (in mdp/0.2; other dialects have none), and
what it returns is the end of the reply. An exception makes the request fail; a Failure tells the
caller why.

Each service works on `concurrency` requests at once, each in a thread of its own; heartbeats are sent
by other threads, so work may take long. Work that never lets go of Python's GIL, as some extensions in
C do, stops the heartbeats: run it in a process.

The worker registers again, on a new connection, whenever the broker says so or falls silent. SIGTERM
and SIGINT let the requests that are worked on end; their replies are sent. A second signal ends the
process at once. A request may come more than once, or after its caller has left: MDP has no cancel.

Requests come from strangers. Never unpickle their data.
"""
from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import logging
import queue
import random
import signal
import socket
import threading
import time
from collections import deque
from typing import Any, Callable, Generator, List, NamedTuple, Optional, Union

import zmq
from zmq.auth import load_certificate

__all__ = ["Failure", "Request", "Worker"]

Frame = Union[bytes, str]
Reply = Union[None, Frame, List[Frame]]
Handler = Callable[["Request"], Union[Reply, Generator[Reply, None, Reply]]]

log = logging.getLogger("mdpworker")

READY, REQUEST = b"\x01", b"\x02"
FAILED = b"\x06"  # loudify's worker error: the first frame of the reply to a request that failed
LEAVE_WAIT = 1.0  # seconds in which the broker may say that no request is on its way
PAUSES = 0.05, 1.0  # seconds between two attempts to register: the shortest, the longest
AHEAD = 64  # PARTIALs that may wait to be sent
MAX_VARS = 1 << 20  # bytes of a vars frame


class Dialect(NamedTuple):
    """The first frames of each message, and the command bytes that differ."""

    header: List[bytes]
    partial: Optional[bytes]
    final: bytes
    heartbeat: bytes
    disconnect: bytes


DIALECTS = {
    "mdp/0.1": Dialect([b"", b"MDPW01"], None, b"\x03", b"\x04", b"\x05"),
    "mdp/0.2": Dialect([b"MDPW02"], b"\x03", b"\x04", b"\x05", b"\x06"),
    "loudify": Dialect([b"", b"W01"], None, b"\x03", b"\x04", b"\x05"),
}


class Failure(Exception):
    """The request fails; the caller is told the text."""


class Lost(Exception):
    """The broker is lost: nobody waits for the reply."""


@dataclasses.dataclass
class Request:
    """A request: its data frames, and the vars from the frame after them."""

    service: str
    frames: List[bytes]
    vars: dict[str, Any]

    @property
    def data(self) -> bytes:
        """The first data frame, or nothing."""
        return self.frames[0] if self.frames else b""


class Worker:
    """Serves functions at one broker.

    broker:    its endpoint, such as tcp://127.0.0.1:5555 or ipc:///run/broker
    dialect:   mdp/0.1, mdp/0.2 or loudify: what the broker speaks to workers
    vars:      how the vars frame, the last of several frames, is written: python, json, or none if
               all frames are data
    heartbeat: seconds from one heartbeat to the next
    liveness:  heartbeats that the broker may miss before it counts as lost
    curve:     two files of keys for a broker with CURVE: the broker's public key, and our own pair
    """

    def __init__(
        self,
        broker: str = "tcp://127.0.0.1:5555",
        *,
        dialect: str = "mdp/0.1",
        vars: str = "python",
        heartbeat: float = 2.5,
        liveness: int = 4,
        curve: Optional[tuple[str, str]] = None,
    ) -> None:
        if dialect not in DIALECTS:
            raise ValueError(f"dialect is {dialect!r}, want one of {', '.join(DIALECTS)}")
        if vars not in ("python", "json", "none"):
            raise ValueError(f"vars is {vars!r}, want python, json or none")
        self.broker, self.dialect, self.vars = broker, DIALECTS[dialect], vars
        self.heartbeat, self.liveness = heartbeat, liveness
        self.curve_server: Optional[bytes] = None
        if curve:
            self.curve_server = load_certificate(curve[0])[0]
            self.curve_public, self.curve_secret = load_certificate(curve[1])
            if not self.curve_secret:
                raise ValueError(f"{curve[1]} has no secret key")
        self.stopping = threading.Event()
        self._registrations: List[_Registration] = []

    def service(self, name: str, *, concurrency: int = 1) -> Callable[[Handler], Handler]:
        """Makes the function below it a service; concurrency is how many requests it works on at once."""
        if not 0 < len(name.encode()) < 256 or "\0" in name or name.startswith("mmi."):
            raise ValueError(f"{name!r} is no name of a service")

        def register(handler: Handler) -> Handler:
            self._registrations += [_Registration(self, name, handler) for _ in range(concurrency)]
            return handler

        return register

    def run(self) -> None:
        """Serves until SIGTERM, SIGINT or stop(), and returns when the last reply is sent."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._stop_by_signal)
        context = zmq.Context()
        threads = [threading.Thread(target=r.run, args=(context,), daemon=True) for r in self._registrations]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(1)  # a join without end would keep signals out
        for registration in self._registrations:
            registration.close()
        context.term()

    def stop(self) -> None:
        """Has run() return. Any thread may call it."""
        self.stopping.set()
        for registration in self._registrations:
            registration.wake()

    def _stop_by_signal(self, number: int, _: Any) -> None:
        log.info("%s: no more requests are taken", signal.Signals(number).name)
        for again in (signal.SIGTERM, signal.SIGINT):
            signal.signal(again, signal.SIG_DFL)
        self.stop()


class _Registration:
    """One worker as the broker sees it. Two threads share it: run() owns the socket, and _work() runs the function."""

    def __init__(self, worker: Worker, service: str, handler: Handler) -> None:
        self.worker, self.service, self.handler = worker, service, handler
        self.woken, self._waker = socket.socketpair()
        self.woken.setblocking(False)
        self._waker.setblocking(False)
        self.jobs: queue.SimpleQueue[Optional[tuple[_Session, bytes, List[bytes]]]] = queue.SimpleQueue()
        self.idle = threading.Event()  # the function does not run
        self.idle.set()

    def wake(self) -> None:
        """Has the thread of run() look around. Any thread may call it."""
        try:
            self._waker.send(b"\0")
        except OSError:
            pass  # enough of them wait, or nobody does any more

    def close(self) -> None:
        self.woken.close()
        self._waker.close()

    def run(self, context: zmq.Context[Any]) -> None:
        threading.Thread(target=self._work, daemon=True).start()
        stopping, pause = self.worker.stopping, PAUSES[0]
        while not stopping.is_set():
            started = time.monotonic()
            session = _Session(self, context)
            why = session.serve()
            if stopping.is_set():
                break
            if session.heard:
                pause = PAUSES[0]
            if pause == PAUSES[0]:
                log.warning("%s: registering again: %s", self.service, why)
            while not self.idle.wait(0.2) and not stopping.is_set():
                pass  # a worker that registers takes requests
            stopping.wait(started + pause * random.uniform(0.5, 1) - time.monotonic())
            pause = min(2 * pause, PAUSES[1])
        self.jobs.put(None)

    def _work(self) -> None:
        for session, client, frames in iter(self.jobs.get, None):
            try:
                final = self._call(session, client, frames)
            except Lost:
                final = []
            except Failure as failure:
                log.warning("%s: failed: %s", self.service, failure)
                final = [FAILED, str(failure).encode()]
            except Exception as error:  # the worker lives on, whatever is wrong
                log.exception("%s: failed", self.service)
                final = [FAILED, type(error).__name__.encode()]
            self.idle.set()
            session.post(self.worker.dialect.final, client, final)

    def _call(self, session: _Session, client: bytes, frames: List[bytes]) -> List[bytes]:
        result = self.handler(self._request(frames))
        if not inspect.isgenerator(result):
            return _frames(result)
        partial = self.worker.dialect.partial
        while True:
            try:
                part = next(result)
            except StopIteration as end:
                return _frames(end.value)
            if partial:
                try:
                    session.post_partial(partial, client, _frames(part))
                except Lost:
                    result.close()
                    raise

    def _request(self, frames: List[bytes]) -> Request:
        variables: Any = {}
        if len(frames) > 1 and self.worker.vars != "none":
            *frames, last = frames
            try:
                if len(last) > MAX_VARS:
                    raise ValueError(f"{len(last)} bytes of vars")
                variables = json.loads(last) if self.worker.vars == "json" else ast.literal_eval(last.decode())
            except Exception:
                variables = None
            if not isinstance(variables, dict):
                raise Failure(f"the last of {len(frames) + 1} frames holds no vars ({self.worker.vars})")
        return Request(self.service, frames, variables)


def _frames(reply: Any) -> List[bytes]:
    """The frames of what a function returned: at least one."""
    parts = reply if isinstance(reply, (list, tuple)) else [b"" if reply is None else reply]
    frames = []
    for part in parts:
        if isinstance(part, str):
            part = part.encode()
        if not isinstance(part, (bytes, bytearray, memoryview)):
            raise TypeError(f"a reply holds a {type(part).__name__}, want bytes or str")
        frames.append(bytes(part))
    return frames or [b""]


class _Session:
    """One connection to the broker, from READY to its end. Only post() and post_partial() are for the other thread."""

    def __init__(self, registration: _Registration, context: zmq.Context[Any]) -> None:
        self.registration, self.worker, self.dialect = registration, registration.worker, registration.worker.dialect
        self.heard = False  # the broker accepted the registration
        self.busy = False  # a request is worked on
        self.lost = False
        self.left = self.agreed = False  # DISCONNECT was sent; the broker knows
        self.parting: Optional[float] = None  # until when its word is waited for
        self.outbox: deque[List[bytes]] = deque()  # what the other thread wants sent
        self.room = threading.Semaphore(AHEAD)
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IPV6, 1)
        if self.worker.curve_server:
            self.socket.curve_serverkey = self.worker.curve_server
            self.socket.curve_publickey = self.worker.curve_public
            self.socket.curve_secretkey = self.worker.curve_secret
        self.poller = zmq.Poller()

    def post(self, command: bytes, client: bytes, frames: List[bytes]) -> None:
        """Has a reply sent. Nobody gets it if the connection is lost."""
        self.outbox.append([command, client, b"", *frames])
        self.registration.wake()

    def post_partial(self, command: bytes, client: bytes, frames: List[bytes]) -> None:
        """Has a part sent, and waits while too many are to be sent."""
        self.room.acquire()
        if self.lost:
            raise Lost
        self.post(command, client, frames)

    def serve(self) -> str:
        """Registers and moves messages until the session ends; returns why it did."""
        try:
            self.socket.connect(self.worker.broker)
            now = time.monotonic()
            self.seen, self.beat = now, now + self.worker.heartbeat
            self._send(READY, self.registration.service.encode())
            while True:
                why = self._step()
                if why:
                    return why
        finally:
            self.lost = True
            self.room.release(AHEAD)  # the other thread learns of it
            self.socket.close(linger=1000 if self.left else 0)

    def _step(self) -> str:
        self.poller.register(self.registration.woken, zmq.POLLIN)
        self.poller.register(self.socket, zmq.POLLIN | zmq.POLLOUT if self.outbox else zmq.POLLIN)
        due = min(self.beat, self.seen + self.worker.heartbeat * self.worker.liveness)
        if self.parting is not None and not self.busy:
            due = min(due, self.parting)
        ready = dict(self.poller.poll(max(0.0, due - time.monotonic()) * 1000 + 1))
        if self.registration.woken.fileno() in ready:
            self.registration.woken.recv(4096)
        if ready.get(self.socket, 0) & zmq.POLLIN:
            while self.socket.poll(0, zmq.POLLIN):  # what has arrived comes before what is due
                if not self._receive(self.socket.recv_multipart()):
                    return "the broker sent DISCONNECT"
        self._flush()
        now = time.monotonic()
        if now - self.seen > self.worker.heartbeat * self.worker.liveness:
            return "the broker is silent"
        if now >= self.beat:
            self._send(self.dialect.heartbeat)
        return self._leave(now) if self.worker.stopping.is_set() and not self.busy else ""

    def _send(self, *frames: bytes) -> bool:
        """Sends a message unless the broker is too slow, or not there. Any counts as a heartbeat."""
        self.beat = time.monotonic() + self.worker.heartbeat
        try:
            self.socket.send_multipart([*self.dialect.header, *frames], zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _flush(self) -> None:
        while self.outbox and self._send(*self.outbox[0]):
            command = self.outbox.popleft()[0]
            if command == self.dialect.final:
                self.busy = False
            else:
                self.room.release()

    def _receive(self, message: List[bytes]) -> bool:
        """Takes a message; False means that the broker wants no more of this connection."""
        self.seen = time.monotonic()  # whatever it is, the broker lives
        n = len(self.dialect.header)
        header, command, rest = message[:n], message[n : n + 1], message[n + 1 :]
        if header != self.dialect.header or not command:
            log.warning("a message from the broker was dropped: %r", [frame[:32] for frame in message[:4]])
            return True
        if command[0] == self.dialect.disconnect:
            self.agreed = self.left
            return self.left
        self.heard = True
        if command[0] == REQUEST and len(rest) > 1 and not self.busy:
            self.busy = True
            self.registration.idle.clear()
            self.registration.jobs.put((self, rest[0], rest[2:]))
        return True

    def _leave(self, now: float) -> str:
        """Ends the session of a worker that stops, once no request is on its way any more.

        MDP has no word for that: a heartbeat after DISCONNECT is that of a stranger, whom brokers send
        a DISCONNECT; what they sent before has arrived then.
        """
        if self.agreed or self.parting is not None and now >= self.parting:
            return "the worker stops"
        if self.parting is None:
            self.left, self.parting = True, now + LEAVE_WAIT
            self._send(self.dialect.disconnect)
            self._send(self.dialect.heartbeat)
        return ""
