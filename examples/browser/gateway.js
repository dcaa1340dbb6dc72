// A Problem is an error of the gateway (RFC 9457). Its fields can be read because
// the gateway trusts this page's origin.
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

// post calls a service of the gateway {url, key}. It returns the response if it is
// a reply, and otherwise throws its Problem. The key is for a gateway that has keys.
export async function post(gateway, service, options) {
  return ask(gateway, "POST", `/services/${encodeURIComponent(service)}`, options);
}

// ask makes a request as post does, of any route.
//
// fetch itself rejects with a TypeError when there is no answer that this page may
// read: no connection, or a gateway that does not trust its origin. Only the
// browser's console says which.
export async function ask({ url, key }, method, path, { query, headers, ...rest } = {}) {
  const target = new URL(path, url);
  target.search = new URLSearchParams(query);
  const authorization = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch(target, { method, headers: { ...headers, ...authorization }, ...rest });
  if (response.ok) return response;
  throw await problemOf(response);
}

// problemOf returns what an answer that is no reply says, as an error.
export async function problemOf(response) {
  if (!response.headers.get("Content-Type")?.startsWith("application/problem+json")) {
    return new Error(`${response.status} that is not the gateway's: is there a proxy on the way?`);
  }
  const seconds = response.headers.get("Retry-After");
  return new Problem(await response.json(), seconds ? Number(seconds) : null);
}
