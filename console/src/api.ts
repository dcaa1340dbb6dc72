// What the page asks of the gateway, typed by its contract.
import type { components } from "./contract";

type Schemas = components["schemas"];
export type Service = Schemas["Service"];
export type Overview = Schemas["Overview"];
export type EndedCall = Schemas["EndedCall"];
export type Job = Schemas["Job"];
export type Frame = { data: unknown; encoding: "text" | "base64" | "json" };

// A Problem has the fields that all problems have; others come with its code.
export interface Problem {
  title: string;
  status: number;
  detail?: string;
  code: string;
  executed?: "no" | "maybe" | "yes";
  retryable?: boolean;
  request_id?: string;
  [field: string]: unknown;
}

// The script is at PREFIX/console/console.js, so the gateway is at PREFIX/, also behind a proxy.
export const base = new URL("../", import.meta.url);
export const at = (path: string) => new URL(path, base).href;

const KEY = "mdp-gateway key";
export const key = () => sessionStorage.getItem(KEY) ?? "";
export const setKey = (k: string) => (k ? sessionStorage.setItem(KEY, k) : sessionStorage.removeItem(KEY));
export const headers = (): Record<string, string> => (key() ? { Authorization: `Bearer ${key()}` } : {});

export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail ?? problem.title);
  }
}

export const unreachable: Problem = {
  title: "No answer", status: 0, code: "unreachable", detail: "The gateway could not be reached, or the connection was lost.",
};

export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(at(path), { ...init, headers: { Accept: "application/json", ...headers(), ...init.headers } });
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw new Refused(unreachable);
  }
  if (!response.ok) throw new Refused(await problemOf(response.status, await response.text()));
  return (response.status === 204 ? undefined : await response.json()) as T;
}

export function problemOf(status: number, text: string): Problem {
  try {
    const p = JSON.parse(text) as Problem;
    if (p.code) return p;
  } catch {
    // not the gateway's
  }
  return { title: "Not an answer of the gateway", status, code: "foreign", detail: "Is there a proxy on the way?" };
}
