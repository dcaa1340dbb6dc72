// Generates clients from a gateway's contract with three generators, compiles them with
// the programs of ../clients, which make the README's calls, and runs those.
//
//   BINARY=../../bin/gateway node --test clients.mjs
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startGateway } from "./gateway.mjs";

const clients = fileURLToPath(new URL("../clients/", import.meta.url));
let gateway;

// run runs a program in a folder of ../clients.
function run(folder, program, ...args) {
  return new Promise((found, failed) => {
    execFile(program, args, { cwd: `${clients}${folder}`, maxBuffer: 1 << 26 }, (error, stdout, stderr) =>
      error ? failed(new Error(`${program} ${args.join(" ")}: ${stdout}${stderr}`)) : found(stdout),
    );
  });
}

const npx = (...args) => run("", "npx", "--no-install", ...args);

before(async () => {
  gateway = await startGateway();
  await writeFile(`${clients}openapi.json`, await (await fetch(`${gateway.url}/openapi.json`)).text());
});

after(async () => assert.equal(await gateway.stop(), 0));

test("TypeScript: openapi-typescript with openapi-fetch, and @hey-api/openapi-ts", async () => {
  await npx("openapi-typescript", "openapi.json", "-o", "gateway.d.ts");
  await npx("openapi-ts", "--silent", "-f", "openapi-ts.config.mjs");
  await npx("tsc");
  for (const program of ["fetch.js", "hey.js"]) assert.equal(await run("dist", "node", program, gateway.url), "all as it should be\n");
});

test("Go: oapi-codegen", async () => {
  await mkdir(`${clients}go/api`, { recursive: true });
  await run("go", "go", "tool", "oapi-codegen", "-generate", "types,client,skip-prune", "-package", "api", "-o", "api/api.go", "../openapi.json");
  assert.equal(await run("go", "go", "run", ".", gateway.url), "all as it should be\n");
});
