// Makes the calls of docs/http.md at a gateway with the demo worker and the catalogue
// of gateway.yaml, and ends with 1 if an answer is not as it should be.
//
//   npm start -- http://127.0.0.1:8080
import assert from "node:assert/strict";

import { answered, call, events, Failed, lines, newGateway, octets } from "./client.js";

const [url = "http://127.0.0.1:8080"] = process.argv.slice(2);
const gateway = newGateway(url, process.env["KEY"]);

function check(name: string, got: unknown, want: unknown) {
  console.log(`${name}: ${JSON.stringify(got)}`);
  assert.deepEqual(got, want, name);
}

check("text and vars", await call(gateway, "echo", { body: "hello", vars: { sf: 7, has_crc: false } }), [
  { data: "hello", encoding: "text" },
  { data: "{'sf': 7, 'has_crc': False}", encoding: "text" },
]);

const samples = crypto.getRandomValues(new Uint8Array(65536));
const back = await answered(
  gateway.POST("/services/echo", { ...octets, body: new Blob([samples]), params: { query: { frame: 0, vars: '{"sf":7}' } } }),
);
check("samples come back as they were", Buffer.from(await back.arrayBuffer()).equals(samples), true);

const parts: [string, unknown][] = [];
for await (const event of events(gateway.POST("/services/stream", { ...lines, body: { body: "3" } }))) {
  if (event.event === "partial" || event.event === "final") parts.push([event.event, event.frames[0]?.data]);
}
check("a reply in parts", parts, [
  ["partial", "1"],
  ["partial", "2"],
  ["partial", "3"],
  ["final", "3"],
]);

const message = await answered(gateway.POST("/services/{name}/dry-run", { params: { path: { name: "echo" } }, body: { body: "hello", vars: { sf: 7 } } }));
check("what would be sent", message.frames.at(-1)?.text, "{'sf': 7}");

try {
  await call(gateway, "sleep", { body: "1s" }, { timeout: "200ms" });
  assert.fail("want a problem");
} catch (error) {
  if (!(error instanceof Failed) || error.problem.code !== "timeout") throw error;
  check("a timeout", [error.problem.executed, error.problem.limit_by, error.problem.limit_ms], ["maybe", "?timeout", 200]); // members of a timeout alone
}

// A service that is not in the catalogue has no types of its own, but can be called.
try {
  await answered(gateway.POST("/services/{name}", { params: { path: { name: "nobody-is-here" } }, body: { vars: { any: "thing" } } }));
  assert.fail("want a problem");
} catch (error) {
  if (!(error instanceof Failed)) throw error;
  check("no such service", [error.problem.code, error.problem.executed], ["service_not_found", "no"]);
}

console.log("all as it should be");
