// Runs the page of examples/browser in Chromium, against a real gateway that is
// another origin; and a foreign page, which must not reach a worker.
//
//   BINARY=../../bin/gateway node --test browser.test.mjs
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { submit } from "./example.mjs";
import { startCounter, startGateway, startSite } from "./gateway.mjs";

let site, foreign, gateway, counter, browser;

before(async () => {
  [site, foreign] = await Promise.all([startSite(), startSite()]);
  gateway = await startGateway("--cors-origin", site.url);
  counter = await startCounter(gateway, "count");
  browser = await launch();
});

after(async () => {
  await browser?.end();
  const ends = [await counter?.stop(), await gateway?.stop()];
  await Promise.all([site?.stop(), foreign?.stop()]);
  assert.deepEqual(ends, [0, 0], "the worker and the gateway end well");
});

test("a page of a trusted origin calls with JSON", async () => {
  assert.deepEqual(await submit(browser, site.url, gateway, "json", { body: "grüße 😀" }), {
    kind: "done",
    text: "text: grüße 😀\ntext: {'sf': 7, 'has_crc': False}",
  });
});

test("a Blob in a form comes back through formData() byte for byte", async () => {
  const all = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0")).join(" ");
  for (const hex of ["00 ff 80 41", "0d 0a 2d 2d 0d 0a", all]) {
    assert.deepEqual(await submit(browser, site.url, gateway, "form", { hex }), { kind: "done", text: `${hex}\n{'sf': 7}` });
  }
});

test("a reply in parts is read through fetch", async () => {
  assert.deepEqual(await submit(browser, site.url, gateway, "stream", { parts: "3" }), {
    kind: "done",
    text: "partial 1\npartial 2\npartial 3\nfinal 3\n",
  });
  const { text } = await submit(browser, site.url, gateway, "stream", { parts: "500" });
  assert.equal(text.split("\n").length, 502, "all of 500 parts and the last");
});

test("a problem's fields can be read", async () => {
  const { text, kind } = await submit(browser, site.url, gateway, "problem", { timeout: "150ms" });
  assert.equal(kind, "problem");
  const { code, status, executed, retryable, limit_ms, limit_by, service } = JSON.parse(text);
  assert.deepEqual(
    { code, status, executed, retryable, limit_ms, limit_by, service },
    { code: "timeout", status: 504, executed: "maybe", retryable: false, limit_ms: 150, limit_by: "?timeout", service: "sleep" },
  );
});

// jobPage opens the page, which may have a job from before.
async function jobPage() {
  const page = await browser.newPage();
  await page.goto(`${site.url}/index.html?gateway=${encodeURIComponent(gateway.url)}`);
  const output = page.locator("#job output");
  const shows = (text) => output.filter({ hasText: text }).waitFor();
  return { page, output, shows };
}

test("a file becomes a job: the upload shows its progress, and the reply is read", async () => {
  const { page, output, shows } = await jobPage();
  await page.fill("#job [name=service]", "echo");
  await page.setInputFiles("#job [name=file]", { name: "samples.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(4 << 20, 7) });
  await page.evaluate(() => {
    window.values = []; // of the bar, whenever it changes
    new MutationObserver(() => window.values.push(document.querySelector("#job progress").value)).observe(document.querySelector("#job progress"), { attributes: true });
  });
  await page.click("#job button:text('Submit')");
  await shows("a reply of");
  assert.match(await output.textContent(), /^(queued\n)?(running\n)?done\na reply of 4194304 bytes$/);
  const values = await page.evaluate(() => window.values);
  assert(values.length > 0 && values.at(-1) > 4 << 20, `the bar was at ${values}`);
  await page.evaluate(() => localStorage.clear());
  await page.close();
});

test("a page that was left finds its job again, and cancels it", async () => {
  const first = await jobPage();
  await first.page.fill("#job [name=body]", "5m");
  await first.page.click("#job button:text('Submit')");
  await first.shows("running");
  const id = await first.page.inputValue("#job [name=id]");
  await first.page.close();

  const second = await jobPage();
  await second.shows("running");
  assert.equal(await second.page.inputValue("#job [name=id]"), id);
  await second.page.click("#job button:text('Cancel')");
  await second.shows('"code": "canceled"');
  assert.match(await second.output.textContent(), /^running\ncanceled\n/);
  await second.page.evaluate(() => localStorage.clear());
  await second.page.close();
});

test("the reply of a job that ended while its page was away is there", async () => {
  const first = await jobPage();
  await first.page.fill("#job [name=body]", "400ms");
  await first.page.click("#job button:text('Submit')");
  await first.page.waitForFunction(() => localStorage.getItem("job"));
  await first.page.close();
  const second = await jobPage();
  await second.shows("reply: 400ms");
  await second.page.evaluate(() => localStorage.clear());
  await second.page.close();
});

test("the headers that a page needs can be read, and a key may be sent", async () => {
  const page = await browser.newPage();
  await page.goto(`${site.url}/index.html`);
  const headers = await page.evaluate(async (url) => {
    const response = await fetch(`${url}/services/echo`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: "Bearer any", Prefer: "wait=5", "X-Request-Id": "from-a-page" },
      body: "{}",
    });
    return Object.fromEntries(response.headers);
  }, gateway.url);
  await page.close();
  assert.equal(headers["x-request-id"], "from-a-page");
  assert.equal(headers["preference-applied"], "wait=5");
  assert.match(headers["server-timing"], /^queue;dur=.*broker;dur=/);
});

test("a page of another origin can neither call nor read", async () => {
  const shown = await submit(browser, foreign.url, gateway, "json", { body: "hello" });
  assert.deepEqual(shown, { kind: "problem", text: "TypeError: Failed to fetch" });

  const page = await browser.newPage();
  await page.goto(`${foreign.url}/foreign.html`);
  const outcome = await page.evaluate(async (url) => {
    const outcome = {};
    const calls = {
      json: ["/services/count", { method: "POST", headers: { "Content-Type": "application/json" }, body: '{"body":"json"}' }],
      text: ["/services/count", { method: "POST", body: "text" }],
      read: ["/version", {}],
    };
    for (const [name, [path, init]] of Object.entries(calls)) {
      outcome[name] = await fetch(url + path, init).then((response) => response.status, (error) => error.name);
    }
    return outcome;
  }, gateway.url);
  await page.close();
  assert.deepEqual(outcome, { json: "TypeError", text: "TypeError", read: "TypeError" });
  await reached([]);
});

// posted opens the foreign page on an origin, posts in one of its ways, and
// returns the status that the browser was answered with and hid from the page.
async function posted(origin, way, text) {
  const page = await browser.newPage();
  try {
    await page.goto(`${origin}/foreign.html`);
    const answered = page.waitForResponse(`${gateway.url}/services/count`);
    await page.evaluate(([way, url, text]) => ways[way](url, text), [way, `${gateway.url}/services/count`, text]);
    return (await answered).status();
  } finally {
    await page.close();
  }
}

// reached checks what came to the worker since it was last asked. A last request
// of our own, after which it must come to nothing else, makes an end.
let seen = 0;
async function reached(want) {
  const mark = `mark ${seen}`;
  const response = await fetch(`${gateway.url}/services/count`, { method: "POST", body: mark, headers: { "Content-Type": "text/plain" } });
  assert.equal(response.status, 200);
  await counter.line(mark, (line) => (line === mark ? true : undefined));
  const lines = counter.lines.slice(seen);
  seen = counter.lines.length;
  assert.deepEqual(lines, [...want, mark]);
}

for (const way of ["fetch, no-cors, text/plain", "fetch, no-cors, a form with a file", "sendBeacon", "a form that is submitted"]) {
  test(`a foreign page reaches no worker: ${way}`, async () => {
    const text = `from a page by ${way}`;
    // 127.0.0.1 is the gateway's own site, and with another port another origin.
    for (const origin of [foreign.url, foreign.url.replace("localhost", "127.0.0.1"), site.url.replace("localhost", "127.0.0.1")]) {
      assert.equal(await posted(origin, way, text), 403, origin);
    }
    await reached([]);
    assert.equal(await posted(site.url, way, text), 200, "the same page where it is trusted");
    await reached([text]);
  });
}
