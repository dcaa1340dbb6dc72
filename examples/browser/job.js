import { ask, Problem, problemOf } from "./gateway.js";
import { lines } from "./stream.js";

// submitJob makes a job of a call with the Blobs as frames, and returns it once the gateway has stored it: its id is
// all that is needed to come back later. onProgress(sent, total) counts the bytes of the upload. fetch does not
// show these, XMLHttpRequest does. A submission that is repeated with the same idempotencyKey makes no second job.
export function submitJob({ url, key }, service, blobs, { vars = {}, timeout, idempotencyKey, onProgress, signal } = {}) {
  const form = new FormData();
  for (const blob of blobs) form.append("frame", blob);
  form.append("vars", JSON.stringify(vars));
  const target = new URL(`/services/${encodeURIComponent(service)}`, url);
  if (timeout) target.searchParams.set("timeout", timeout);
  return new Promise((submitted, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", target);
    request.setRequestHeader("Prefer", "respond-async");
    if (idempotencyKey) request.setRequestHeader("Idempotency-Key", idempotencyKey);
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    request.upload.onprogress = ({ loaded, total }) => onProgress?.(loaded, total);
    request.onload = async () => {
      if (request.status === 202) return submitted(JSON.parse(request.responseText));
      if (request.status === 200) return reject(new Error("this gateway makes no jobs of calls: see its --jobs"));
      const headers = { "Content-Type": request.getResponseHeader("Content-Type"), "Retry-After": request.getResponseHeader("Retry-After") ?? "" };
      reject(await problemOf(new Response(request.response, { status: request.status, headers })));
    };
    request.onerror = () => reject(new TypeError("no answer that this page may read"));
    request.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

// jobEvents yields the events of a job as they come: {event: "state", job}, {event: "partial", seq, frames} and, as the
// last, {event: "final", seq, frames}. It throws the Problem of a job that failed. If the connection ends before, it
// goes on where it was.
export async function* jobEvents(gateway, id, { signal } = {}) {
  for (let last = null; ; await pause(1000, signal)) {
    const headers = { Accept: "application/x-ndjson", ...(last === null ? {} : { "Last-Event-ID": String(last) }) };
    try {
      const response = await ask(gateway, "GET", `/jobs/${id}/events`, { headers, signal });
      for await (const line of lines(response.body)) {
        const event = JSON.parse(line);
        if (event.event === "ping") continue;
        if (event.event === "problem") throw new Problem(event.problem, null);
        if (event.event === "partial") last = event.seq;
        yield event;
        if (event.event === "final") return;
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // what is one is a lost connection
    }
  }
}

// jobReply returns a frame of the reply of a job that is done as a Blob, as often as it is asked.
export async function jobReply(gateway, id, { frame = 0, signal } = {}) {
  const response = await ask(gateway, "GET", `/jobs/${id}/reply`, { query: { frame }, headers: { Accept: "application/octet-stream" }, signal });
  return response.blob();
}

// cancelJob ends a job and returns it: executed says whether it may have run.
export async function cancelJob(gateway, id) {
  return (await ask(gateway, "POST", `/jobs/${id}/cancel`)).json();
}

function pause(milliseconds, signal) {
  return new Promise((over, reject) => {
    const timer = setTimeout(over, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); });
  });
}
