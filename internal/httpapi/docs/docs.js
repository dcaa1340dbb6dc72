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
  for (const path of Object.values(openapi.paths)) {
    delete path.head; // as GET
    const content = path.post?.requestBody?.content;
    if (content) {
      const any = content["*/*"];
      delete content["*/*"];
      content["*/*"] = any; // the first one is what is tried
    }
  }
  return openapi;
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
