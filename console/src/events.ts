// What goes on without being asked for again: events, and the state of a job.
import { at, headers, type Job, problemOf, Refused } from "./api";

async function refuse(response: Response): Promise<never> {
  throw new Refused(problemOf(response.status, await response.text()));
}

// follow reads server-sent events until they end, with fetch, since EventSource can send no key.
export async function follow<T>(path: string, stop: AbortSignal, last: number | undefined, got: (events: T[]) => void): Promise<void> {
  const response = await fetch(at(path), {
    headers: { Accept: "text/event-stream", ...(last === undefined ? {} : { "Last-Event-ID": String(last) }), ...headers() }, signal: stop,
  });
  if (!response.ok || !response.body) return refuse(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop() ?? "";
    got(events.flatMap((e) => /^data: (.*)$/m.exec(e)?.[1] ?? []).map((data) => JSON.parse(data) as T));
  }
}

// keepOn runs what until it says that it is over, again a second after it ended or the connection was lost.
// What the gateway refuses is not tried again.
export async function keepOn(stop: AbortSignal, what: () => Promise<boolean>, failed: (e: unknown) => void): Promise<void> {
  while (!stop.aborted) {
    try {
      if (await what()) return;
    } catch (e) {
      if (stop.aborted) return;
      failed(e);
      if (e instanceof Refused) return;
    }
    await new Promise((next) => setTimeout(next, 1000));
  }
}

export const over = (j: Job) => j.state !== "queued" && j.state !== "running";

// watch tells of each change of a job's state until it is over. It waits at the gateway, and gets no frames.
export async function watch(id: string, stop: AbortSignal, told: (j: Job) => void): Promise<boolean> {
  for (let tag = ""; ; ) {
    const response = await fetch(at(`jobs/${id}${tag ? "?wait=30s" : ""}`), {
      headers: { Accept: "application/json", ...(tag ? { "If-None-Match": tag } : {}), ...headers() }, signal: stop,
    });
    if (response.status === 304) continue;
    if (!response.ok) return refuse(response);
    const job = (await response.json()) as Job;
    told(job);
    if (over(job)) return true;
    tag = response.headers.get("ETag") ?? "";
    if (!tag) return false;
  }
}
