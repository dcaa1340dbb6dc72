// Holds the contract to the rules of spectral.yaml: as it is written, and as a
// gateway with a catalogue serves it.
//
//   BINARY=../../bin/gateway node --test lint.mjs
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startGateway } from "./gateway.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const contract = join(here, "../../api/openapi.yaml");
const files = await mkdtemp(join(tmpdir(), "lint-"));

after(() => rm(files, { recursive: true }));

// lint returns Spectral's exit code and what it says. Its hints count as well.
function lint(document) {
  const args = ["lint", "--ruleset", join(here, "spectral.yaml"), "--fail-severity", "hint", document];
  return new Promise((found) => {
    execFile(join(here, "node_modules/.bin/spectral"), args, (error, stdout, stderr) => found({ code: error ? error.code : 0, said: stdout + stderr }));
  });
}

describe("the contract has no fault", { concurrency: true }, () => {
  test("as it is written", async () => {
    const { code, said } = await lint(contract);
    assert.equal(code, 0, said);
  });

  test("as a gateway serves it", async () => {
    const config = join(files, "gateway.yaml");
    await writeFile(
      config,
      `services:
  lora:
    description: demodulates one LoRa frame
    vars_schema: {type: object, required: [sf], properties: {sf: {type: integer, minimum: 7, maximum: 12}}}
    example: {body: AAEC, encoding: base64, vars: {sf: 7}}
  nested:
    vars_schema: {$ref: "#/$defs/all", $defs: {all: {type: object, properties: {inner: {$ref: "#/$defs/all"}}}}}
`,
    );
    const gateway = await startGateway("--config", config);
    const document = await (await fetch(`${gateway.url}/openapi.json`)).text();
    assert.equal(await gateway.stop(), 0);
    const served = join(files, "openapi.json");
    await writeFile(served, document);
    const { code, said } = await lint(served);
    assert.equal(code, 0, said);
  });
});

test("a fault is found", async () => {
  const faulty = join(files, "faulty.yaml");
  await writeFile(faulty, "openapi: 3.1.0\ninfo: {title: x, version: '1', description: x, contact: {name: x}}\nservers: [{url: /}]\npaths: {}\ntags: [{name: x}, {name: x}]\n");
  const { code, said } = await lint(faulty);
  assert.equal(code, 1, said);
  assert.match(said, /openapi-tags-uniqueness/);
});
