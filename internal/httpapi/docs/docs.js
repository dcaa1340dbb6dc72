// Fetches this gateway's document, with the reader's key if one is needed, and
// gives it to Stoplight Elements.
"use strict";

const form = document.querySelector("#key");
const input = form.querySelector("input");
const output = form.querySelector("output");

// The key is kept nowhere else: who loads the page again is asked again.
let key = "";

// What is tried out on the page goes through fetch too, and carries the key, but
// to this gateway only.
const send = window.fetch;
window.fetch = (resource, options) => {
  const request = new Request(resource, options);
  if (key && new URL(request.url).origin === location.origin) request.headers.set("Authorization", `Bearer ${key}`);
  return send(request);
};

// prepared makes the document easier to read and to try. Without security Elements
// has no field for a token, which it would store, or send its own example of.
function prepared(openapi) {
  delete openapi.security;
  const { schemas } = openapi.components;
  for (const path of Object.values(openapi.paths)) {
    delete path.head; // as GET
    path.parameters?.forEach(encodePart);
    const content = path.post?.requestBody?.content;
    if (content) prepareBody(content, schemas);
  }
  return openapi;
}

// encodePart makes a part of a service's name what a URL has for it: Elements encodes nothing.
function encodePart(parameter) {
  if (parameter.in !== "path" || !parameter.schema?.enum) return;
  parameter.example = encodeURIComponent(parameter.schema.enum[0]);
  parameter.schema.enum = [parameter.example];
}

// A name that is typed becomes what a URL has for it, at once, so that the sample and the call are the same.
document.addEventListener("beforeinput", (event) => {
  const [field] = event.composedPath();
  if (field.ariaLabel !== "name" || !event.data || event.isComposing) return;
  event.preventDefault();
  field.setRangeText(encodeURIComponent(event.data), field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
});

// prepareBody makes the body of a call ready to be sent as it is proposed. The first type is the one
// that is tried.
function prepareBody(content, schemas) {
  const { "*/*": any, "application/json": json, "multipart/form-data": form, ...others } = content;
  for (const type of Object.keys(content)) delete content[type];
  const { vars } = follow(json.schema, schemas).properties;
  if (!json.example && !json.examples) json.example = { body: "hello", ...(vars && { vars: sample(vars, schemas) }) };
  const example = json.example ?? Object.values(json.examples)[0].value;
  form.schema = { type: "object", properties: { frame: file } };
  if (vars) {
    form.schema.required = ["vars"]; // else its default is not proposed
    form.schema.properties.vars = { type: "string", description: "A JSON object, as in a body of JSON.", default: JSON.stringify(example.vars ?? {}) };
  }
  Object.assign(content, { "application/json": json, "multipart/form-data": form, ...others, "*/*": any });
}

// Elements has a button for a file, and none for a list of files.
const file = { type: "string", contentMediaType: "application/octet-stream", description: "A file. A form may have several parts of this name, one for each frame." };

const follow = (schema, schemas) => (schema.$ref ? follow(schemas[schema.$ref.split("/").pop()] ?? {}, schemas) : schema);

// sample returns a value of a schema as people write them for vars: with the defaults, and with what is required.
function sample(ref, schemas) {
  const schema = follow(ref, schemas);
  if (schema.default !== undefined) return schema.default;
  const values = [...(schema.examples ?? []), ...(schema.enum ?? [])];
  if (schema.const !== undefined) values.unshift(schema.const);
  if (values.length > 0) return values[0];
  switch ([schema.type].flat()[0]) {
    case "string": return "";
    case "integer": case "number": return schema.minimum ?? (schema.exclusiveMinimum ?? -1) + 1;
    case "boolean": return false;
    case "array": return [];
  }
  const all = Object.entries(schema.properties ?? {});
  const wanted = all.filter(([name, of]) => schema.required?.includes(name) || follow(of, schemas).default !== undefined);
  return Object.fromEntries(wanted.map(([name, of]) => [name, sample(of, schemas)]));
}

async function show() {
  try {
    const response = await fetch("openapi.json");
    const answer = await response.json();
    form.hidden = response.ok;
    if (response.ok) document.querySelector("elements-api").apiDescriptionDocument = prepared(answer);
    else if (key || response.status !== 401) output.textContent = answer.detail;
  } catch (error) {
    form.hidden = false;
    output.textContent = error;
  }
  input.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  key = input.value.trim();
  output.textContent = "";
  show();
});
show();
