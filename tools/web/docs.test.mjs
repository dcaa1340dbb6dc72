// Opens GET /docs in Chromium: what it shows, what it loads, and what its policy
// would have had to stop.
//
//   BINARY=../../bin/gateway [PICTURE=docs.png] node --test docs.test.mjs
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { newKey, startGateway } from "./gateway.mjs";

const files = await mkdtemp(join(tmpdir(), "docs-"));
const config = join(files, "gateway.yaml");
const keysFile = join(files, "keys.yaml");
const one = newKey("one", ["echo"]);

let open, locked, browser;

before(async () => {
  await writeFile(
    config,
    `services:
  echo:
    description: replies what it got
    vars_schema: {type: object, required: [sf], properties: {sf: {type: integer, minimum: 7, maximum: 12}}}
    example: {body: hello, vars: {sf: 7}}
  sleep: {description: takes its time}
`,
  );
  await writeFile(keysFile, one.entry + "\n");
  open = await startGateway("--config", config);
  locked = await startGateway("--config", config, "--keys-file", keysFile);
  browser = await launch();
  await browser.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.effectiveDirective} of ${event.blockedURI}`));
  });
});

after(async () => {
  await browser?.end();
  assert.deepEqual([await open?.stop(), await locked?.stop()], [0, 0], "the gateways end well");
  await rm(files, { recursive: true });
});

// visit opens the page. What it asks for, and what goes wrong with it, is in
// requests and faults.
async function visit(gateway) {
  const page = await browser.newPage();
  const requests = [];
  const faults = [];
  page.on("request", (request) => requests.push(request));
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("status of 401")) faults.push(message.text());
  });
  await page.goto(`${gateway.url}/docs`);
  return { page, requests, faults };
}

// pages are the links of the sidebar, with what each is called.
async function pages(page) {
  for (const group of ["calls", "jobs", "operation", "documentation"]) await page.locator(`.sl-elements [title="${group}"]`).click();
  return page.locator(".sl-elements a[href^='#/']").evaluateAll((links) => links.map((a) => [a.getAttribute("href"), a.innerText.split("\n")[0]]));
}

// tryOut sends what the page of an operation proposes, and returns the answer.
async function tryOut(page, operation) {
  await page.evaluate((hash) => (location.hash = hash), `#/operations/${operation}`);
  const answered = page.waitForResponse((response) => response.request().method() === "POST");
  await page.getByRole("button", { name: "Send API Request" }).click();
  const response = await answered;
  await page.getByText(`${response.status()} `).first().waitFor(); // shown too
  return { status: response.status(), body: await response.json() };
}

test("every operation is shown, and nothing but the gateway is asked", async () => {
  const { page, requests, faults } = await visit(open);
  const all = await pages(page);
  const document = await (await fetch(`${open.url}/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap((path) => [path.get, path.post]).filter(Boolean);
  for (const { operationId, summary } of operations) {
    assert.ok(
      all.some(([href, title]) => href === `#/operations/${operationId}` && title === summary),
      `${operationId} is in the sidebar: ${all.join(" ")}`,
    );
  }
  const schema = all.find(([href]) => href.startsWith("#/schemas/"));
  for (const [href, title] of [...all.filter(([href]) => href.startsWith("#/operations/")), schema]) {
    await page.evaluate((hash) => (location.hash = hash), href);
    await page.getByRole("heading", { name: title, exact: true }).first().waitFor();
  }
  if (process.env.PICTURE) {
    await page.setViewportSize({ width: 1400, height: 1000 });
    await page.evaluate(() => (location.hash = "#/operations/call_echo"));
    await page.getByRole("heading", { name: "Calls echo." }).waitFor();
    await page.screenshot({ path: process.env.PICTURE });
  }
  assert.deepEqual(faults, []);
  const asked = new Set(requests.map((request) => request.url()));
  const want = ["", "/docs.css", "/docs.js", "/icon.svg", "/styles.min.css", "/web-components.min.js"].map((file) => `${open.url}/docs${file}`);
  assert.deepEqual([...asked].sort(), [...want, `${open.url}/openapi.json`].sort());
  await page.close();
});

test("a service can be called from its page", async () => {
  const { page, faults } = await visit(open);
  const { status, body } = await tryOut(page, "call_echo");
  assert.equal(status, 200);
  assert.deepEqual(body.frames, [
    { data: "hello", encoding: "text" },
    { data: "{'sf': 7}", encoding: "text" },
  ]);
  assert.deepEqual(faults, []);
  await page.close();
});

test("with keys the page asks for one, shows what it is for, and calls with it", async () => {
  const { page, requests, faults } = await visit(locked);
  const form = page.locator("#key");
  await form.waitFor();
  assert.equal(await page.locator(".sl-elements a").count(), 0, "nothing is shown without a key");

  await form.locator("input").fill("not-a-key");
  await form.locator("button").click();
  await form.getByText("the key is not valid").waitFor();

  await form.locator("input").fill(one.key);
  await form.locator("button").click();
  await form.waitFor({ state: "hidden" });
  const links = (await pages(page)).map(([href]) => href);
  assert.ok(links.includes("#/operations/call_echo"), "the service that the key is for is shown");
  assert.ok(!links.includes("#/operations/call_sleep"), "another is not");

  assert.equal((await tryOut(page, "call_echo")).status, 200);
  const sent = requests.filter((request) => request.headers().authorization === `Bearer ${one.key}`).map((request) => new URL(request.url()));
  assert.deepEqual(
    sent.map(({ origin, pathname }) => [origin, pathname]),
    [
      [locked.url, "/openapi.json"],
      [locked.url, "/services/echo"],
    ],
  );
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
  assert.ok(!kept.includes(one.key), `the key is kept nowhere: ${kept}`);
  assert.deepEqual(faults, []);

  await page.reload();
  await form.waitFor(); // it was forgotten
  await page.close();
});
