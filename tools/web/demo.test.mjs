// Uses the demo of `make run` in Chromium as a newcomer would: calls its services in GET /console, whose replies are
// plotted and played, and in GET /docs, which proposes what they take. SCREENSHOTS=1 writes a picture of docs/.
//
//   BINARY=../../bin/gateway node --test demo.test.mjs
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch } from "./chromium.mjs";
import { startCounter, startGateway } from "./gateway.mjs";

// A service whose name has to be percent-encoded, and whose example is of bytes.
const odd = "lab/fm#100%";
const pair = '{"frames":["first",{"data":"AAEC","encoding":"base64"},{"data":[1],"encoding":"json"}]}';
let folder, gateway, browser, page;
const counters = {};
const complaints = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "demo-"));
  const demo = await readFile(new URL("../../examples/demo/gateway.yaml", import.meta.url), "utf8");
  await writeFile(join(folder, "gateway.yaml"), `${demo}  ${JSON.stringify(odd)}: {example: {body: /4D/, encoding: base64}}
  lora: {vars_schema: {type: object, required: [sf], properties: {sf: {type: integer, minimum: 5}, mode: {enum: [a, b], default: b}, gain: {type: number}}}}
  pair: {example: ${pair}, max_frames: 3}
`);
  gateway = await startGateway("--config", join(folder, "gateway.yaml"), "--jobs", "memory");
  for (const service of [odd, "lora", "joined", "pair"]) counters[service] = await startCounter(gateway, service);
  for (const service of ["melody", "fm", "fail"]) await gateway.serves(service);
  browser = await launch();
  page = await browser.newPage();
  await page.setViewportSize({ width: 1280, height: 800 });
  page.on("console", (m) => {
    if (m.type() === "error" && !/status of 502/.test(m.text())) complaints.push(`${m.text()} ${m.location().url}`);
  });
  page.on("pageerror", (e) => complaints.push(String(e)));
});

after(async () => {
  await browser?.end();
  for (const counter of Object.values(counters)) await counter.stop();
  assert.equal(await gateway?.stop(), 0);
  await rm(folder, { recursive: true, force: true });
  assert.deepEqual(complaints, []);
});

// call calls a service from the console, as its page proposes.
async function call(service) {
  await page.goto(`${gateway.url}/console#/call/${encodeURIComponent(service)}`);
  await page.getByRole("button", { name: `Call ${service}`, exact: true }).click();
}

const frame = () => page.locator(".frame").first();

test("every service of the demo says what it does and has an example", async () => {
  const { services } = await (await fetch(`${gateway.url}/services`)).json();
  const ours = services.filter((s) => !counters[s.name]);
  assert.deepEqual(ours.map((s) => s.name), ["echo", "fail", "fm", "melody", "sleep", "stream", "vars"]);
  for (const { name, description, example } of ours) assert.ok(description && example, name);
});

test("samples are plotted at once, as the service says that they are", async () => {
  await call("melody");
  await frame().locator("canvas.waterfall").waitFor();
  assert.equal(await frame().getByLabel("Format").inputValue(), "cu8");
  assert.equal(await frame().getByLabel("Rate in Hz").inputValue(), "24000");
  await frame().getByText("96000 samples").waitFor();
});

test("so are those of a job's reply", async () => {
  await page.goto(`${gateway.url}/console#/call/melody`);
  await page.getByLabel("Answer").selectOption("job");
  await page.getByRole("button", { name: "Call melody", exact: true }).click();
  await page.getByRole("link", { name: /under Jobs/ }).click();
  await frame().locator("canvas.waterfall").waitFor();
  assert.deepEqual([await frame().getByLabel("Format").inputValue(), await frame().getByLabel("Rate in Hz").inputValue()], ["cu8", "24000"]);
});

test("an example of several frames is proposed and sent as it is", async () => {
  const sent = page.waitForRequest((r) => r.method() === "POST");
  await call("pair");
  assert.deepEqual((await sent).postDataJSON(), JSON.parse(pair));
  await frame().waitFor();
});

test("sound is plotted and played", async () => {
  await call("fm");
  const audio = frame().locator("audio");
  await audio.waitFor();
  await frame().locator(".u-wrap canvas").waitFor();
  const rate = frame().getByLabel("Rate in Hz");
  assert.deepEqual([await rate.inputValue(), await rate.isDisabled()], ["8000", true], "the file says so itself");
  const heard = await audio.evaluate(async (a) => {
    await a.play();
    await new Promise((ended) => { a.onended = ended; a.currentTime = a.duration - 0.2; });
    return { seconds: a.duration, error: a.error };
  });
  assert.deepEqual(heard, { seconds: 4, error: null });
  if (process.env.SCREENSHOTS) await page.screenshot({ path: new URL("../../docs/console-sound.png", import.meta.url).pathname });
});

test("a file of samples gives the same sound", async () => {
  await call("fm");
  await frame().locator("audio").waitFor();
  const samples = Buffer.from(await (await fetch(`${gateway.url}/services/melody`, { method: "POST" })).arrayBuffer());
  await page.getByRole("radio", { name: "files" }).check();
  await page.getByLabel("Files, one frame each").setInputFiles({ name: "melody.cu8", mimeType: "application/octet-stream", buffer: samples });
  const sent = page.waitForRequest((r) => r.method() === "POST");
  await page.getByRole("button", { name: "Call fm" }).click();
  assert.match((await sent).headers()["content-type"], /^multipart/);
  await frame().getByText("32000 samples").waitFor();
});

test("a failure has the worker's reason", async () => {
  await call("fail");
  await page.getByRole("alert").getByText("The worker says: no carrier").waitFor();
});

test("an example of bytes is sent as bytes", async () => {
  await call(odd);
  await frame().waitFor();
  const line = await counters[odd].line("what was sent", (l) => (l === "\\xff\\x80\\xff" ? l : undefined));
  assert.ok(line);
});

// open opens the page of a service's calls in GET /docs.
async function open(service) {
  const { paths } = await (await fetch(`${gateway.url}/openapi.json`)).json();
  const { operationId } = Object.values(paths).map((path) => path.post).find((post) => post?.summary === `Calls ${service}.`);
  await page.goto(`${gateway.url}/docs#/operations/${operationId}`);
  await page.getByRole("heading", { name: `Calls ${service}.`, exact: true }).waitFor();
}

// tryOut sends what the page proposes.
async function tryOut() {
  const answered = page.waitForResponse((r) => r.request().method() === "POST");
  await page.getByRole("button", { name: "Send API Request" }).click();
  const response = await answered;
  return { status: response.status(), sent: response.request(), body: await response.text() };
}

const sample = () => page.locator("pre").filter({ hasText: "curl --request POST" });

test("the page of a service proposes its example, or what its vars need", async () => {
  for (const [service, want] of Object.entries({
    stream: { body: "5", vars: { pause: 0.5 } },
    lora: { body: "hello", vars: { sf: 5, mode: "b" } },
    joined: { body: "hello", vars: {} },
  })) {
    await open(service);
    const { status, sent } = await tryOut();
    assert.deepEqual([status, sent.postDataJSON()], [200, want], service);
  }
});

test("a name that needs percent-encoding is shown and called", async () => {
  await open(odd);
  const { status, sent } = await tryOut();
  assert.deepEqual([status, sent.url()], [200, `${gateway.url}/services/${encodeURIComponent(odd)}`]);
  assert.match(await sample().innerText(), new RegExp(`/services/${encodeURIComponent(odd)}\\s`));
});

test("a name that is typed into the page of all services is encoded", async () => {
  await page.goto(`${gateway.url}/docs#/operations/callService`);
  const name = page.getByLabel("name", { exact: true });
  await name.fill("");
  await name.pressSequentially(odd);
  await sample().getByText(new RegExp(`/services/${encodeURIComponent(odd)}\\s`)).waitFor();
  const { status, sent } = await tryOut();
  assert.deepEqual([status, sent.url()], [200, `${gateway.url}/services/${encodeURIComponent(odd)}`]);
});

test("a form takes a file, and has the vars of the example", async () => {
  await open("fm");
  const form = page.getByRole("option", { name: "multipart/form-data" });
  while (!(await form.isVisible())) { // a menu that is opened while the page still renders may close again
    await page.getByRole("button", { name: "Request Body Content Type" }).click();
    await form.waitFor({ timeout: 2000 }).catch(() => {});
  }
  await form.click();
  await page.locator("input[type=file]").setInputFiles({ name: "melody.cu8", mimeType: "application/octet-stream", buffer: Buffer.alloc(24_000, 127) });
  await sample().getByText("--form frame=@melody.cu8").waitFor();
  assert.match(await sample().innerText(), /--form 'vars={"format":"cu8","samp_rate":24000,/);
  const { status, body } = await tryOut();
  assert.deepEqual([status, Buffer.from(JSON.parse(body).frames[0].data, "base64").length], [200, 44 + 2 * 4_000], "half a second of sound");
});

test("samples of requests have no header without a value", async () => {
  await open("echo");
  await sample().waitFor();
  assert.doesNotMatch(await sample().innerText(), /: '/);
  await page.getByLabel("X-Request-Id").fill("mine");
  await sample().getByText("X-Request-Id: mine").waitFor();
});
