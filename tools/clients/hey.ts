// The calls of the project's README over a client of @hey-api/openapi-ts, as one writes them at first.
import assert from "node:assert/strict";

import { client } from "./hey/client.gen.js";
import { callService, dryRunService, getJob, getJobReply, listServices } from "./hey/index.js";

const [url = "http://127.0.0.1:8080"] = process.argv.slice(2);
client.setConfig({ baseUrl: url });
const echo = { name: "echo" };

const json = await callService({ path: echo, body: { body: "hello", vars: { sf: 7, has_crc: false } } });
assert(json.data && "frames" in json.data); // with Prefer: respond-async it would be a job
assert.deepEqual(json.data.frames.map((f) => f.data), ["hello", "{'sf': 7, 'has_crc': False}"]);

const frames = await callService({ path: echo, body: { frames: [{ data: "first" }, { data: "AAEC", encoding: "base64" }] } });
assert(frames.data && "frames" in frames.data);
assert.deepEqual(frames.data.frames.slice(0, 2), [{ data: "first", encoding: "text" }, { data: "AAEC", encoding: "base64" }]);

const samples = crypto.getRandomValues(new Uint8Array(65536));
const raw = await callService({
  path: echo, query: { frame: 0 }, headers: { "Content-Type": "application/octet-stream" },
  body: samples as never, bodySerializer: (b) => b, parseAs: "arrayBuffer",
});
assert(Buffer.from(raw.data as unknown as ArrayBuffer).equals(Buffer.from(samples)));

const form = new FormData();
form.append("frame", "hello");
form.append("vars", '{"sf":7}');
const formed = await callService({ path: echo, headers: { "Content-Type": null }, body: form as never, bodySerializer: null });
assert(formed.data && "frames" in formed.data);
assert.deepEqual(formed.data.frames.map((f) => f.data), ["hello", "{'sf': 7}"]);

const parts = await callService({ path: { name: "stream" }, headers: { Accept: "application/x-ndjson" }, body: { body: "2" }, parseAs: "text" });
assert.equal(String(parts.data).trim().split("\n").length, 3);

const late = await callService({ path: { name: "sleep" }, query: { timeout: "200ms" }, body: { body: "1s" } });
assert(late.error?.code === "timeout");
assert.deepEqual([late.error.executed, late.error.limit_ms], ["maybe", 200]); // limit_ms is a timeout's alone

const job = await callService({ path: echo, headers: { Prefer: "respond-async" }, body: { body: "later" } });
assert(job.data && "state" in job.data);
const over = await getJob({ path: { id: job.data.id }, query: { wait: "30s" } });
assert.equal(over.data?.state, "done");
const reply = await getJobReply({ path: { id: job.data.id } });
assert.deepEqual(reply.data?.frames.map((f) => f.data), ["later"]);

const shown = await dryRunService({ path: echo, body: { vars: { sf: 7 } } });
assert.equal(shown.data?.frames.at(-1)?.text, "{'sf': 7}");

const services = await listServices();
assert(services.data?.services.some((s) => s.name === "echo" && s.availability === "up"));
console.log("all as it should be");
