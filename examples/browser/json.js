import { post } from "./gateway.js";

// callJSON sends a text, or anything that JSON can hold, with flowgraph vars, and
// returns the frames of the reply: {data, encoding}, where encoding is text or
// base64. signal, of an AbortController, cancels the call.
export async function callJSON(gateway, service, body, { vars, timeout = "25s", signal } = {}) {
  const response = await post(gateway, service, {
    query: { timeout },
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ body, vars }),
    signal,
  });
  return (await response.json()).frames;
}
