// Does what examples/typescript/README.md says: generates the types of a gateway at
// work, compiles the example with them, and runs it.
//
//   BINARY=../../bin/gateway node --test typescript.mjs
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startGateway } from "./gateway.mjs";

const example = fileURLToPath(new URL("../../examples/typescript/", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "typescript-")); // of copies, for what is generated

before(async () => {
  for (const file of await readdir(example)) {
    if (/\.(ts|mjs|json|yaml)$/.test(file) && file !== "gateway.d.ts") await copyFile(join(example, file), join(folder, file));
  }
  await symlink(join(example, "node_modules"), join(folder, "node_modules"));
});

after(() => rm(folder, { recursive: true }));

// npm runs one of the example's scripts.
function npm(...args) {
  return new Promise((found) => {
    execFile("npm", ["run", "--silent", ...args], { cwd: folder }, (error, stdout, stderr) => found({ code: error ? error.code : 0, said: stdout + stderr }));
  });
}

async function succeeds(...args) {
  const { code, said } = await npm(...args);
  assert.equal(code, 0, `npm run ${args.join(" ")}: ${said}`);
  return said;
}

test("the example compiles with the types of a gateway at work, and its calls are answered", async () => {
  const gateway = await startGateway("--config", join(folder, "gateway.yaml"));
  await succeeds("generate", "--", gateway.url);
  await succeeds("build");
  assert.match(await succeeds("start", "--", gateway.url), /\nall as it should be\n$/);
  assert.equal(await gateway.stop(), 0);
});

test("with another catalogue it does not compile", async () => {
  const other = join(folder, "other.yaml");
  const sf = [", type: integer, minimum: 7, maximum: 12", ", type: string"];
  await writeFile(other, (await readFile(join(folder, "gateway.yaml"), "utf8")).replace(...sf).replace("sf: 7", 'sf: "7"'));
  const gateway = await startGateway("--config", other);
  await succeeds("generate", "--", gateway.url);
  assert.equal(await gateway.stop(), 0);
  const { code, said } = await npm("build");
  assert.notEqual(code, 0);
  assert.match(said, /main\.ts.*Type 'number' is not assignable to type 'string'/);
  assert.match(said, /wrong\.ts.*Unused '@ts-expect-error'/);
});
