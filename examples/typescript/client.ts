import createClient from "openapi-fetch";

import type { components, paths } from "./gateway.js";

type Schemas = components["schemas"];

// Problem is a refusal or failure, one type per code: once the code is known, so is
// what else it has.
export type Problem = Schemas["Problem"];
export type Event = Schemas["Event"];
export type Gateway = ReturnType<typeof newGateway>;

// Failed is thrown for a problem.
export class Failed extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.status} ${problem.code}: ${problem.detail}`);
  }
}

// newGateway returns a client of the gateway at url. Its methods know the paths, so
// the services of the catalogue and their vars. The key is for a gateway that has
// keys.
export function newGateway(url: string, key?: string) {
  return createClient<paths, "application/json" | "application/problem+json">({
    baseUrl: url,
    headers: key === undefined ? {} : { Authorization: `Bearer ${key}` },
  });
}

// answered waits for an answer and returns its body; a problem is thrown.
export async function answered<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<NonNullable<T>> {
  const { data, error, response } = await answer;
  if (data !== undefined && data !== null) return data;
  if (!response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    throw new Error(`${response.status} that is not the gateway's: a proxy on the way?`);
  }
  throw new Failed((typeof error === "string" ? JSON.parse(error) : error) as Problem);
}

// Envelopes are the bodies in JSON of the catalogue's services, each with its vars.
export type Envelopes = {
  [P in keyof paths as P extends `/services/${infer S}` ? Exclude<S, `{name}${string}`> : never]: paths[P] extends {
    post: { requestBody?: { content: { "application/json": infer Envelope } } };
  }
    ? Envelope
    : never;
};

// call calls a service of the catalogue and returns the frames of its reply. It
// takes no vars but the service's own; the methods of the client do not mind more.
export async function call<S extends keyof Envelopes & string>(
  gateway: Gateway,
  service: S,
  envelope: Envelopes[S],
  query: { timeout?: string } = {},
): Promise<Schemas["Frame"][]> {
  const path = { name: decodeURIComponent(service) };
  const reply = await answered(gateway.POST("/services/{name}", { params: { path, query }, body: envelope as Schemas["Envelope"] }));
  if ("state" in reply) throw new Error("a job has no reply yet");
  return reply.frames;
}

// octets are the options of a call whose body, and whose reply, are left as they are.
export const octets = {
  headers: { "Content-Type": "application/octet-stream" },
  bodySerializer: (body: unknown) => body as Blob,
  parseAs: "blob",
} as const;

// lines are the options of a call whose reply comes in parts, for events.
export const lines = { headers: { Accept: "application/x-ndjson" }, parseAs: "stream" } as const;

// events yields the parts of a reply as they come. Leaving the loop early gives the
// call up.
export async function* events(answer: Parameters<typeof answered<ReadableStream<Uint8Array> | null>>[0]): AsyncGenerator<Event> {
  const reader = (await answered(answer)).pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  try {
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        const event = JSON.parse(line) as Event;
        if (event.event === "problem") throw new Failed(event.problem); // it failed after it had begun
        if (event.event !== "ping") yield event;
      }
    }
  } finally {
    await reader.cancel();
  }
}
