// Writes gateway.d.ts, the types of a gateway as it is at work: of its services and
// their vars, and of its problems.
//
//   npm run generate -- http://127.0.0.1:8080
import { writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const [url = "http://127.0.0.1:8080"] = process.argv.slice(2);
const headers = process.env.KEY ? { Authorization: `Bearer ${process.env.KEY}` } : {};
const response = await fetch(new URL("/openapi.json", url), { headers });
if (!response.ok) throw new Error(`${url} answers ${response.status}: ${await response.text()}`);

const types = await openapiTS(await response.json(), {
  // Octets are no string, as which they would be taken.
  transform: (schema) => (schema.format === "binary" ? ts.factory.createTypeReferenceNode("Blob") : undefined),
});
await writeFile("gateway.d.ts", astToString(types));
