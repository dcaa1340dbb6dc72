// A page on another origin and a gateway with keys: the preflight needs none, the
// call does, and what is refused can be read.
//
//   BINARY=../../bin/gateway node --test keys.test.mjs
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { submit } from "./example.mjs";
import { newKey, startCounter, startGateway, startSite } from "./gateway.mjs";

const files = await mkdtemp(join(tmpdir(), "keys-"));
const right = newKey("right", ["echo", "stream", "count"]);
const other = newKey("other", ["lora_*"]);

let site, foreign, gateway, counter, browser;

before(async () => {
  await writeFile(join(files, "keys.yaml"), `${right.entry}\n${other.entry}\n`);
  [site, foreign] = await Promise.all([startSite(), startSite()]);
  gateway = await startGateway("--log-level", "debug", "--cors-origin", site.url, "--keys-file", join(files, "keys.yaml"));
  counter = await startCounter(gateway, "count");
  browser = await launch();
});

after(async () => {
  await browser?.end();
  const ends = [await counter?.stop(), await gateway?.stop()];
  await Promise.all([site?.stop(), foreign?.stop()]);
  await rm(files, { recursive: true });
  assert.deepEqual(ends, [0, 0], "the worker and the gateway end well");
});

// The log has, as lines of debug, what the browser's own tools hide from a test: preflights.
test("the preflight needs no key, and the call sends it", async () => {
  assert.equal((await submit(browser, site.url, gateway, "json", { body: "hello" }, right.key)).kind, "done");
  const request = (line) => (line.includes('"msg":"request"') ? JSON.parse(line) : undefined);
  await gateway.line("the call's", (line) => (request(line)?.method === "POST" ? true : undefined));
  const seen = gateway.lines.map(request).filter(Boolean);
  assert.deepEqual(
    seen.map(({ method, status, principal }) => [method, status, principal]),
    [
      ["OPTIONS", 204, undefined],
      ["POST", 200, "right"],
    ],
  );
});

test("with its key a page calls in every way", async () => {
  for (const [id, values, want] of [
    ["json", { body: "hello" }, "text: hello\ntext: {'sf': 7, 'has_crc': False}"],
    ["form", { hex: "00 ff 80 41" }, "00 ff 80 41\n{'sf': 7}"],
    ["stream", { parts: "2" }, "partial 1\npartial 2\nfinal 2\n"],
  ]) {
    assert.deepEqual(await submit(browser, site.url, gateway, id, values, right.key), { kind: "done", text: want });
  }
});

test("without a valid key, or with that of another service, it can read why not", async () => {
  for (const [key, status, code] of [
    ["", 401, "unauthorized"],
    ["mdpgw_nobody", 401, "unauthorized"],
    [other.key, 403, "forbidden"],
  ]) {
    const { kind, text } = await submit(browser, site.url, gateway, "json", { body: "hello" }, key);
    assert.equal(kind, "problem", text);
    const problem = JSON.parse(text);
    assert.deepEqual([problem.status, problem.code, problem.executed], [status, code, "no"]);
  }
});

test("a foreign page gets nowhere with the right key either", async () => {
  assert.deepEqual(await submit(browser, foreign.url, gateway, "json", { body: "hello" }, right.key), {
    kind: "problem",
    text: "TypeError: Failed to fetch",
  });
  const page = await browser.newPage();
  await page.goto(`${foreign.url}/foreign.html`);
  const outcome = await page.evaluate(
    ([url, key]) => fetch(url, { method: "POST", headers: { Authorization: `Bearer ${key}` }, body: "foreign" }).then(({ status }) => status, ({ name }) => name),
    [`${gateway.url}/services/count`, right.key],
  );
  assert.equal(outcome, "TypeError");
  const own = await fetch(`${gateway.url}/services/count`, { method: "POST", headers: { Authorization: `Bearer ${right.key}` }, body: "own" });
  assert.equal(own.status, 200);
  await counter.line("own", (line) => (line === "own" ? true : undefined));
  assert.deepEqual(counter.lines, ["own"], "only our own call reached the worker");
  await page.close();
});
