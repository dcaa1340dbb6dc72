// Uses every view of GET /console in Chromium, at a real gateway with keys, without a foreign request or a complaint of
// its policy. SCREENSHOTS=1 writes the pictures of docs/.
//
//   BINARY=../../bin/gateway node --test console.test.mjs
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { newKey, startGateway } from "./gateway.mjs";

const axe = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const docs = new URL("../../docs/", import.meta.url);
let folder, gateway, browser, page, operator, caller;
const foreign = [], complaints = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "console-"));
  operator = newKey("operator", ["*"]);
  caller = newKey("caller", ["echo"]);
  await writeFile(join(folder, "gateway.yaml"), `access:\n${[operator.entry.replace(/\}$/, ", metrics: true}"), caller.entry].map((e) => `  ${e}`).join("\n")}
services:
  echo:
    description: Replies what it got.
    example: {body: hello, vars: {sf: 9}}
    vars_schema:
      type: object
      required: [sf]
      additionalProperties: false
      properties:
        sf: {type: integer, minimum: 5, maximum: 12, default: 7, description: spreading factor}
        crc: {type: boolean}
        mode: {enum: [fast, slow]}
`);
  gateway = await startGateway("--config", join(folder, "gateway.yaml"), "--jobs", "memory");
  browser = await launch();
  page = await browser.newPage();
  page.on("request", (r) => { if (!/^(blob|data):/.test(r.url()) && !r.url().startsWith(`${gateway.url}/`)) foreign.push(r.url()); });
  page.on("console", (m) => { if (/Content Security|Refused to|status of 404/.test(m.text())) complaints.push(`${m.text()} ${m.location().url}`); });
  page.on("pageerror", (e) => complaints.push(String(e)));
});

after(async () => {
  await browser?.end();
  assert.equal(await gateway?.stop(), 0);
  await rm(folder, { recursive: true, force: true });
  assert.deepEqual(foreign, [], "requests to other hosts");
  assert.deepEqual(complaints, [], "complaints of the policy, and what is not found");
});

// paint prints when a new page was first painted, and holds a bound that only an endless wait breaks.
test("the first paint is soon", async (t) => {
  const page = await browser.newPage();
  await page.goto(`${gateway.url}/console`);
  const paint = await page.waitForFunction(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  const ms = await paint.jsonValue();
  t.diagnostic(`first paint after ${Math.round(ms)} ms`);
  assert.ok(ms < 15_000, `the first paint was after ${ms} ms`);
  await page.close();
});

const picture = async (name) => {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: new URL(`console-${name}.png`, docs).pathname });
};

// clean holds the page to axe's rules, in both schemes.
async function clean() {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe); // through the protocol, which the policy does not bind
    const { violations } = await page.evaluate(() => window.axe.run());
    assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(" ")}`), [], colorScheme);
  }
}

async function show(view, { wide = 1280 } = {}) {
  await page.setViewportSize({ width: wide, height: 800 });
  await page.goto(`${gateway.url}/console#/${view}`);
}

async function use(key) {
  const forget = page.getByRole("button", { name: "Forget the key" });
  if (await forget.isVisible()) await forget.click();
  await page.getByLabel("Key").fill(key);
  await page.getByRole("button", { name: "Use" }).click();
}

test("without a key it says so; a key is kept for the tab", async () => {
  await page.goto(`${gateway.url}/`);
  assert.equal(page.url(), `${gateway.url}/console`);
  await page.getByRole("alert").getByText("Paste a key").waitFor();
  await use(caller.key);
  await page.getByRole("link", { name: "echo" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "sleep" }).count(), 0, "what the key is not for is not shown");
  assert.equal(await page.getByRole("heading", { name: "Brokers" }).count(), 0);
  await page.reload();
  await page.getByRole("link", { name: "echo" }).waitFor();
  await show("calls");
  await page.getByRole("alert").getByText("Your key has no right").waitFor();
});

test("a call by a form, with vars, frame by frame", async () => {
  await show("call");
  await use(operator.key);
  await page.getByRole("combobox", { name: "Service" }).selectOption("echo");
  await page.getByLabel("sf *").fill("8");
  await page.getByLabel("crc").check();
  await page.getByLabel("mode").selectOption("slow");
  await page.getByRole("button", { name: "Call echo" }).click();
  await page.getByText("{'sf': 8, 'crc': True, 'mode': 'slow'}").waitFor();
  await page.getByText("The same call for curl").click();
  const snippet = await page.locator("details pre").textContent();
  assert.match(snippet, /curl .*\/services\/echo[^]*YOUR_KEY/);
  assert.ok(!snippet.includes(operator.key), "the key itself is not copied");
  await page.locator(".frame").first().getByLabel("as").selectOption("hex");
  await page.getByText("68 65 6c 6c 6f").waitFor();
  await clean();
  await picture("call");
});

test("samples are plotted, and played", async () => {
  const samples = new Float32Array(65536).map((_, i) => Math.sin(i / 5) * Math.cos(i / 9000) + (Math.random() - 0.5) / 50);
  await page.getByRole("radio", { name: "files" }).check();
  await page.getByLabel("Files, one frame each").setInputFiles({ name: "a.f32", mimeType: "application/octet-stream", buffer: Buffer.from(samples.buffer) });
  await page.getByRole("button", { name: "Call echo" }).click();
  const frame = page.locator(".frame").first();
  await frame.getByText("262 kB").waitFor();
  for (const view of ["waveform", "spectrum"]) {
    await frame.getByLabel("as").selectOption(view);
    await frame.locator(".u-wrap canvas").waitFor();
  }
  await picture("spectrum");
  await frame.getByLabel("as").selectOption("waterfall");
  await frame.locator("canvas.waterfall").waitFor();
  await clean();
  await frame.getByLabel("as").selectOption("audio");
  await frame.locator("audio").waitFor();
});

test("20 MB are uploaded with progress", async () => {
  await page.getByLabel("Files, one frame each").setInputFiles(await large());
  await page.getByRole("button", { name: "Call echo" }).click();
  await page.getByText(/upload(ing|ed) .* of 20\.\d MB/).waitFor();
  await page.locator(".frame").first().getByText("20.0 MB", { exact: true }).waitFor({ timeout: 60_000 });
});

async function large() {
  const path = join(folder, "large");
  await writeFile(path, Buffer.alloc(20_000_000, 7));
  return path;
}

test("a stream, a problem, and a call that is given up", async () => {
  await show("call/stream");
  await page.getByLabel("Body", { exact: true }).and(page.locator("textarea")).fill("3");
  await page.getByLabel("Answer").selectOption("stream");
  await page.getByRole("button", { name: "Call stream" }).click();
  await page.getByText("Frame 3.0").waitFor();
  await show("call/sleep");
  const body = page.getByLabel("Body", { exact: true }).and(page.locator("textarea"));
  await body.fill("20s");
  await page.getByLabel("Timeout").fill("200ms");
  await page.getByRole("button", { name: "Call sleep" }).click();
  await page.getByRole("alert").getByText("It may have run").waitFor();
  await clean();
  await page.getByLabel("Timeout").fill("");
  await page.getByRole("button", { name: "Call sleep" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("canceled: a request that was sent may still run").waitFor();
});

test("calls are told as they end, and filtered", async () => {
  await show("calls");
  await page.getByRole("cell", { name: "timeout" }).waitFor();
  await page.getByRole("cell", { name: "canceled" }).waitFor();
  await clean();
  await page.getByLabel("Filter").fill("sleep timeout");
  await page.getByText(/^1 of the last/).waitFor();
});

test("a job is made, left, and read", async () => {
  await show("call/echo");
  await page.getByLabel("Answer").selectOption("job");
  await page.getByRole("button", { name: "Call echo" }).click();
  await page.getByRole("link", { name: /under Jobs/ }).waitFor();
  await page.goto("about:blank");
  await show("jobs");
  await page.getByRole("cell", { name: "done" }).waitFor();
  await page.getByRole("row", { name: "echo" }).getByRole("link").click();
  await page.getByText("hello").waitFor();
  await clean();
  await page.getByRole("button", { name: "delete" }).click();
  await page.getByText("You have no jobs").waitFor();
  assert.equal(await page.getByRole("region", { name: "Job", exact: true }).count(), 0, "what was deleted is not shown any more");
});

test("a job's states come by themselves, in the list and in its own view", async () => {
  await show("call/sleep");
  await use(operator.key);
  await page.getByLabel("Body", { exact: true }).and(page.locator("textarea")).fill("5m");
  await page.getByLabel("Answer").selectOption("job");
  await page.getByRole("button", { name: "Call sleep" }).click();
  const link = page.getByRole("link", { name: /under Jobs/ });
  const id = (await link.getAttribute("href")).split("/").at(-1);
  await link.click();
  const view = page.getByRole("region", { name: "Job", exact: true });
  await view.getByText("It runs").waitFor();
  await page.getByRole("cell", { name: "running" }).waitFor();
  await page.route(/\/jobs\?limit/, () => undefined); // the list is asked for in vain from now on
  const answer = await fetch(`${gateway.url}/jobs/${id}/cancel`, { method: "POST", headers: { Authorization: `Bearer ${operator.key}` } });
  assert.equal(answer.status, 200);
  await view.getByText("canceled").first().waitFor();
  await page.getByRole("cell", { name: "canceled" }).waitFor();
  await page.unroute(/\/jobs\?limit/);
  await picture("jobs");
});

test("a service that never answers is marked, with what to do", async () => {
  const headers = { Authorization: `Bearer ${operator.key}` };
  const service = `${gateway.url}/services/sleep`;
  for (let i = 0; i < 3; i++) {
    const free = async () => {
      const { live } = await (await fetch(service, { headers })).json();
      return live.busy < live.workers;
    };
    while (!(await free())) await pause(100); // a request that no worker had does not count
    assert.equal((await fetch(`${service}?timeout=20ms`, { method: "POST", headers, body: "300ms" })).status, 504);
  }
  await show("services");
  await use(operator.key);
  const row = page.getByRole("row", { name: /sleep/ });
  await row.getByText("silent").waitFor();
  await row.getByText("speak another dialect than their broker").waitFor();
});

test("the services are live, also on a narrow screen and by keyboard", async () => {
  await show("services");
  await page.getByRole("heading", { name: "Brokers" }).waitFor();
  await page.getByRole("cell", { name: "embedded" }).waitFor();
  await clean();
  await page.emulateMedia({ colorScheme: "light" });
  await picture("services");
  for (const view of ["services", "call/echo", "calls", "jobs"]) {
    await show(view, { wide: 360 });
    await page.getByRole("heading", { level: 1 }).waitFor();
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${view} is ${over} px too wide`);
  }
  await show("services");
  await page.reload(); // the keyboard begins at the top
  await page.getByRole("heading", { name: "Brokers" }).waitFor();
  await page.keyboard.press("Tab");
  for (const name of ["Services", "Call", "Calls"]) {
    assert.equal(await page.evaluate(() => document.activeElement.textContent), name);
    await page.keyboard.press("Tab");
  }
});
