import { post, Problem } from "./gateway.js";

// callStream yields the events of a reply in parts as they come: {event: "partial"
// or "final", seq, frames}. Leaving the loop early cancels the call; so does signal,
// of an AbortController.
//
// It suits long calls as well, also of services that reply once: the gateway sends a
// ping every 15 s, which keeps proxies from ending the request. Ask for a longer timeout.
//
// It reads lines of JSON through fetch. EventSource could not: it only makes GET
// requests, and hides the problem of one that is refused.
export async function* callStream(gateway, service, body, { vars = {}, timeout = "25s", signal } = {}) {
  const response = await post(gateway, service, {
    query: { timeout },
    headers: { "Content-Type": "application/json", Accept: "application/x-ndjson" },
    body: JSON.stringify({ body, vars }),
    signal,
  });
  for await (const line of lines(response.body)) {
    const event = JSON.parse(line);
    if (event.event === "ping") continue; // keeps the connection open
    if (event.event === "problem") throw new Problem(event.problem, null); // it failed after it had begun
    yield event;
  }
}

// lines yields the lines of a body, however its bytes were cut on the way.
export async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      yield* parts;
    }
  } finally {
    await reader.cancel(); // a caller that leaves early does not wait for the rest
  }
}
