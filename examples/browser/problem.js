// A Problem is a refusal or failure as the gateway tells it (RFC 9457). Its
// fields can be read because the gateway trusts this page's origin.
export class Problem extends Error {
  constructor(fields, retryAfter) {
    super(`${fields.status} ${fields.code}: ${fields.detail}`);
    this.name = "Problem";
    this.fields = fields; // code, executed, request_id and what else the code brings
    this.retryAfter = retryAfter; // seconds, or null
  }

  // Whether the same call may be made again: it did not run, and may succeed later.
  get retryable() {
    return this.fields.retryable;
  }
}

// answered returns the response if it is a reply, and throws its Problem if not.
//
// fetch itself rejects with a TypeError when there is no answer that this page may
// read: no connection, or a gateway that does not trust its origin. The browser
// tells nobody which, but its console.
export async function answered(response) {
  if (response.ok) return response;
  if (!response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    throw new Error(`${response.status} that is not the gateway's: a proxy on the way?`);
  }
  const seconds = response.headers.get("Retry-After");
  throw new Problem(await response.json(), seconds === null ? null : Number(seconds));
}
