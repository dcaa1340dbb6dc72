"""The services that the tests of mdpworker.py call: served.py BROKER DIALECT VARS"""
import logging
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from mdpworker import Failure, Worker  # noqa: E402

logging.basicConfig(level=logging.INFO)
broker, dialect, variables = sys.argv[1:]
worker = Worker(broker, dialect=dialect, vars=variables, heartbeat=0.2)


@worker.service("lora")
def lora(request):
    time.sleep(request.vars.get("seconds", 0))
    if request.vars.get("fail"):
        raise Failure("as asked")
    return [request.data, repr(request.vars).encode("ascii", "backslashreplace")]


@worker.service("count", concurrency=2)
def count(request):
    for i in range(int(request.data)):  # what is no number is a ValueError
        yield [str(i), b"part"]
    return request.data


@worker.service("none")
def none(request):
    return None


@worker.service("wrong")
def wrong(request):
    return 7


worker.run()
print("left", flush=True)
