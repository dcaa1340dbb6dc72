"""The gateway's job as one would write it with Flask and pyzmq: a DEALER for
each thread of gunicorn's, a new one after an error. The broker's endpoint is in
BENCH_BROKER.

    gunicorn --worker-class gthread --workers 2 --threads 32 flask_bridge:app
"""

import os
import threading

import zmq
from flask import Flask, Response, jsonify, request

TIMEOUT_MS = 25_000

app = Flask(__name__)
local = threading.local()


def connection():
    if getattr(local, "socket", None) is None:
        local.socket = zmq.Context.instance().socket(zmq.DEALER)
        local.socket.setsockopt(zmq.LINGER, 0)
        local.socket.setsockopt(zmq.RCVTIMEO, TIMEOUT_MS)
        local.socket.connect(os.environ["BENCH_BROKER"])
    return local.socket


def call(service, body):
    socket = connection()
    try:
        socket.send_multipart([b"", b"MDPC01", service, body])
        reply = socket.recv_multipart()
    except zmq.ZMQError:
        socket.close()
        local.socket = None
        raise
    if reply[1] != b"MDPC01" or reply[2] != service:
        raise ValueError("not the reply to this request")
    return reply[3:]


@app.post("/services/<service>")
def handle(service):
    if request.mimetype != "application/json":
        return Response(call(service.encode(), request.get_data())[0], mimetype="application/octet-stream")
    frames = call(service.encode(), request.get_json()["body"].encode())
    return jsonify(service=service, frames=[{"data": f.decode(), "encoding": "text"} for f in frames])
