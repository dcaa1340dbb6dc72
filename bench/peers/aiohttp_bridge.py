"""The gateway's job as one would write it with aiohttp and pyzmq: a pool of
DEALERs, one request in flight on each, a new socket after an error. It takes
the gateway's JSON envelope (a text body) or a raw body, and answers alike.

    aiohttp_bridge.py PORT BROKER
"""

import asyncio
import collections
import sys

import zmq
import zmq.asyncio
from aiohttp import web

TIMEOUT = 25


class Pool:
    def __init__(self, endpoint):
        self.context = zmq.asyncio.Context()
        self.endpoint = endpoint
        self.idle = collections.deque()

    def lease(self):
        if self.idle:
            return self.idle.popleft()
        socket = self.context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(self.endpoint)
        return socket

    async def call(self, service, body):
        socket = self.lease()
        try:
            await socket.send_multipart([b"", b"MDPC01", service, body])
            reply = await asyncio.wait_for(socket.recv_multipart(), TIMEOUT)
        except BaseException:
            socket.close()
            raise
        self.idle.append(socket)
        if reply[1] != b"MDPC01" or reply[2] != service:
            raise ValueError("not the reply to this request")
        return reply[3:]


async def handle(request):
    service = request.match_info["service"]
    call = request.app["pool"].call
    if request.content_type != "application/json":
        frames = await call(service.encode(), await request.read())
        return web.Response(body=frames[0], content_type="application/octet-stream")
    envelope = await request.json()
    frames = await call(service.encode(), envelope["body"].encode())
    return web.json_response({
        "service": service,
        "frames": [{"data": f.decode(), "encoding": "text"} for f in frames],
    })


async def start(app):
    app["pool"] = Pool(sys.argv[2])


app = web.Application(client_max_size=64 << 20)
app.on_startup.append(start)
app.add_routes([web.post("/services/{service}", handle)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
