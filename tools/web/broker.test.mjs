// A page posts to the port of the embedded broker what an old ZeroMQ peer would send:
// it must reach no worker.
//
//   BINARY=../../bin/gateway node --test broker.test.mjs
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { startCounter, startGateway, startSite } from "./gateway.mjs";

let foreign, gateway, counter, browser;

before(async () => {
  foreign = await startSite();
  gateway = await startGateway();
  counter = await startCounter(gateway, "count");
  browser = await launch();
});

after(async () => {
  await browser?.end();
  const ends = [await counter?.stop(), await gateway?.stop()];
  await foreign?.stop();
  assert.deepEqual(ends, [0, 0], "the worker and the gateway end well");
});

// smuggled is a request in ZMTP/1.0: bytes of 0x01, which are empty frames wherever a
// reader begins, the end of the message that they are, and the request's own frames,
// each behind its length, which counts the flags, and the flags.
function smuggled(sled, service, data) {
  const frames = ["", "MDPC01", service, data, "{}"].map((text) => new TextEncoder().encode(text));
  const bytes = [...Array(sled).fill(1), 1, 0];
  frames.forEach((frame, i) => bytes.push(frame.length + 1, i < frames.length - 1 ? 1 : 0, ...frame));
  return bytes;
}

test("what a page posts to the broker's port reaches no worker", async () => {
  const page = await browser.newPage();
  await page.goto(`${foreign.url}/foreign.html`);
  const posts = Array.from({ length: 40 }, (_, n) => smuggled(400 + n, "count", "from a page"));
  const outcomes = await page.evaluate(
    ([url, posts]) =>
      Promise.all(
        posts.map((bytes) =>
          // A broker that takes it for a peer keeps the connection and answers nothing.
          fetch(url, { method: "POST", mode: "no-cors", body: new Uint8Array(bytes), signal: AbortSignal.timeout(20_000) }).then(
            () => "answered",
            ({ name }) => name,
          ),
        ),
      ),
    [gateway.broker.replace("tcp:", "http:"), posts],
  );
  await page.close();
  const own = await fetch(`${gateway.url}/services/count`, { method: "POST", body: "own", headers: { "Content-Type": "text/plain" } });
  assert.equal(own.status, 200);
  await counter.line("own", (line) => (line === "own" ? true : undefined));
  assert.deepEqual(counter.lines, ["own"], "our own call alone reached the worker");
  assert.deepEqual(new Set(outcomes), new Set(["TypeError"]), "the broker ended every connection");
});
