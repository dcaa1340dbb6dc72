#!/usr/bin/env python3
"""Calls services through the gateway with nothing but Python's own library.

    python3 client.py --url http://127.0.0.1:8080

makes the calls below at a gateway with the demo worker, as `make run` starts it,
and ends with 1 if an answer is not as it should be. Copy the class Gateway into
your own program.
"""
import argparse
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request


class Problem(Exception):
    """A refusal or failure. Its fields are those of the gateway's problem+json.

    executed says whether the worker ran: "no", "maybe" or "yes".
    """

    def __init__(self, fields, retry_after):
        super().__init__(f"{fields['status']} {fields['code']}: {fields['detail']}")
        self.fields = fields
        self.code, self.executed, self.retryable = fields["code"], fields["executed"], fields["retryable"]
        self.retry_after = retry_after  # seconds, or None


class Gateway:
    def __init__(self, url, key=None, attempts=3):
        self.url, self.key, self.attempts = url.rstrip("/"), key, attempts

    def call(self, service, body=None, variables=None, timeout=None):
        """Sends text, or anything that JSON can hold, and returns the reply's frames."""
        envelope = {} if body is None else {"body": body}
        if variables is not None:
            envelope["vars"] = variables
        with self.post(service, json.dumps(envelope).encode(), {"Content-Type": "application/json"}, timeout=timeout) as answer:
            return [frame["data"] for frame in json.load(answer)["frames"]]

    def call_raw(self, service, samples, variables=None, timeout=None):
        """Sends bytes, and returns the bytes of the reply's first frame."""
        headers = {"Content-Type": "application/octet-stream"}
        if variables is not None:
            headers["Flowgraph-Vars"] = json.dumps(variables)
        with self.post(service, samples, headers, frame=0, timeout=timeout) as answer:
            return answer.read()

    def stream(self, service, body, variables=None, timeout=None):
        """Yields the frames of each part of a reply as it comes.

        It suits long calls as well, also of services that reply once: the gateway sends
        a ping every 15 s, which keeps proxies from ending the request.
        """
        envelope = json.dumps({"body": body, "vars": variables or {}}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson"}
        with self.post(service, envelope, headers, timeout=timeout) as answer:
            for line in answer:
                event = json.loads(line)
                if event["event"] == "problem":  # it failed after it had begun
                    raise Problem(event["problem"], None)
                if event["event"] != "ping":
                    yield event["event"], [frame["data"] for frame in event["frames"]]

    def post(self, service, body, headers, **query):
        """Posts to a service."""
        return self.ask("POST", "/services/" + urllib.parse.quote(service, safe=""), body, headers, **query)

    def ask(self, method, path, body=None, headers={}, **query):
        """Makes a request, and makes it again if it did not run and may succeed later."""
        query = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        if self.key:
            headers = {**headers, "Authorization": "Bearer " + self.key}
        request = urllib.request.Request(f"{self.url}{path}?{query}", body, headers, method=method)
        for attempt in range(self.attempts):
            try:
                return urllib.request.urlopen(request, timeout=330)  # the gateway's own timeouts are shorter
            except urllib.error.HTTPError as answer:
                problem = self.problem(answer)
                if not problem.retryable or attempt + 1 == self.attempts:
                    raise problem from None
                time.sleep(problem.retry_after or 1)

    @staticmethod
    def problem(answer):
        with answer:
            if answer.headers.get_content_type() != "application/problem+json":
                raise answer  # not of the gateway: a proxy on the way
            seconds = answer.headers["Retry-After"]
            return Problem(json.load(answer), int(seconds) if seconds else None)


def check(name, got, want):
    print(f"{name}: {got!r}")
    if got != want:
        raise SystemExit(f"{name}: got {got!r}, want {want!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="the gateway (%(default)s)")
    parser.add_argument("--key", default=os.environ.get("KEY"), help="sent as Authorization: Bearer; default: $KEY")
    options = parser.parse_args()
    gateway = Gateway(options.url, options.key)

    frames = gateway.call("echo", "hello", {"sf": 7, "has_crc": False, "sync_words": [8, 16]})
    check("text and vars", frames, ["hello", "{'sf': 7, 'has_crc': False, 'sync_words': [8, 16]}"])

    samples = os.urandom(65536)
    check("samples come back as they were", gateway.call_raw("echo", samples, {"sf": 7}) == samples, True)

    parts = list(gateway.stream("stream", "3"))
    check("a stream", parts, [("partial", ["1"]), ("partial", ["2"]), ("partial", ["3"]), ("final", ["3"])])

    parts = list(gateway.stream("sleep", "300ms", timeout="1m"))
    check("a service that replies once, as a stream", parts, [("final", ["300ms"])])

    for name, service, body, want in [
        ("a timeout", "sleep", "1s", ("timeout", "maybe")),
        ("no such service", "nobody-is-here", "x", ("service_not_found", "no")),
        ("a name that is not ours to call", "mmi.service", "x", ("forbidden", "no")),
    ]:
        try:
            check(name, gateway.call(service, body, timeout="200ms"), "a problem")
        except Problem as problem:
            check(name, (problem.code, problem.executed), want)
    print("all as it should be")


if __name__ == "__main__":
    main()
