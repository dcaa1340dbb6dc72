// The calls of the project's README over openapi-typescript and openapi-fetch, as one writes them at first.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";

import type { components, paths } from "./gateway.js";

const [url = "http://127.0.0.1:8080"] = process.argv.slice(2);
const gateway = createClient<paths, "application/json" | "application/problem+json">({ baseUrl: url });
const echo = { path: { name: "echo" } };

const json = await gateway.POST("/services/{name}", { params: echo, body: { body: "hello", vars: { sf: 7, has_crc: false } } });
assert(json.data && "frames" in json.data); // with Prefer: respond-async it would be a job
assert.deepEqual(json.data.frames.map((f) => f.data), ["hello", "{'sf': 7, 'has_crc': False}"]);

const frames = await gateway.POST("/services/{name}", { params: echo, body: { frames: [{ data: "first" }, { data: "AAEC", encoding: "base64" }] } });
assert(frames.data && "frames" in frames.data);
assert.deepEqual(frames.data.frames.slice(0, 2), [{ data: "first", encoding: "text" }, { data: "AAEC", encoding: "base64" }]);

const samples = crypto.getRandomValues(new Uint8Array(65536));
const raw = await gateway.POST("/services/{name}", {
  params: { ...echo, query: { frame: 0 } }, headers: { "Content-Type": "application/octet-stream" },
  body: samples as never, bodySerializer: (b) => b as never, parseAs: "arrayBuffer",
});
assert(raw.data && Buffer.from(raw.data).equals(Buffer.from(samples)));

const form = await gateway.POST("/services/{name}", {
  params: echo, body: { frame: ["hello"], vars: { sf: 7 } },
  bodySerializer() {
    const form = new FormData();
    form.append("frame", "hello");
    form.append("vars", '{"sf":7}');
    return form;
  },
});
assert(form.data && "frames" in form.data);
assert.deepEqual(form.data.frames.map((f) => f.data), ["hello", "{'sf': 7}"]);

const parts = await gateway.POST("/services/{name}", {
  params: { path: { name: "stream" } }, headers: { Accept: "application/x-ndjson" }, body: { body: "2" }, parseAs: "text",
});
assert.deepEqual(parts.data?.trim().split("\n").map((line) => (JSON.parse(line) as components["schemas"]["Event"]).event), ["partial", "partial", "final"]);

const late = await gateway.POST("/services/{name}", { params: { path: { name: "sleep" }, query: { timeout: "200ms" } }, body: { body: "1s" } });
assert(late.error?.code === "timeout");
assert.deepEqual([late.error.executed, late.error.limit_ms], ["maybe", 200]); // limit_ms is a timeout's alone

const job = await gateway.POST("/services/{name}", { params: { ...echo, header: { Prefer: "respond-async" } }, body: { body: "later" } });
assert(job.data && "state" in job.data);
const over = await gateway.GET("/jobs/{id}", { params: { path: { id: job.data.id }, query: { wait: "30s" } } });
assert.equal(over.data?.state, "done");
const reply = await gateway.GET("/jobs/{id}/reply", { params: { path: { id: job.data.id } } });
assert.deepEqual(reply.data?.frames.map((f) => f.data), ["later"]);

const shown = await gateway.POST("/services/{name}/dry-run", { params: echo, body: { vars: { sf: 7 } } });
assert.equal(shown.data?.frames.at(-1)?.text, "{'sf': 7}");

const services = await gateway.GET("/services");
assert(services.data?.services.some((s) => s.name === "echo" && s.availability === "up"));
console.log("all as it should be");
