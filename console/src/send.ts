// One call: XMLHttpRequest, since fetch tells no progress of an upload.
import { at, type Frame, headers, type Job, type Problem, problemOf, unreachable } from "./api";

export interface Request {
  service: string;
  kind: "text" | "json" | "base64" | "frames" | "files";
  text: string;
  files: File[];
  vars: Record<string, unknown> | undefined;
  timeout: string;
  mode: "reply" | "stream" | "job";
}

export interface Part { event: string; frames: Frame[] }

export interface State {
  sent: number;
  total: number;
  began: number;
  ended?: number;
  status?: number;
  parts: Part[];
  problem?: Problem;
  job?: Job;
  canceled?: boolean;
}

function payload({ kind, text }: Request): object {
  switch (kind) {
    case "frames": return { frames: JSON.parse(text) as unknown };
    case "base64": return { body: text.replace(/\s/g, ""), encoding: "base64" };
    case "json": {
      const body = JSON.parse(text || "null") as unknown;
      return typeof body === "string" ? { body, encoding: "json" } : { body }; // without encoding a string is text
    }
    default: return { body: text };
  }
}

export function bodyOf(r: Request): string | FormData {
  if (r.kind === "files") {
    const form = new FormData();
    for (const file of r.files) form.append("frame", file, file.name);
    if (r.vars) form.append("vars", JSON.stringify(r.vars));
    return form;
  }
  return JSON.stringify({ ...payload(r), ...(r.vars ? { vars: r.vars } : {}) });
}

export function pathOf(r: Request): string {
  return `services/${encodeURIComponent(r.service)}${r.timeout ? `?timeout=${encodeURIComponent(r.timeout)}` : ""}`;
}

export function headersOf(r: Request): Record<string, string> {
  return {
    Accept: r.mode === "stream" ? "application/x-ndjson" : "application/json",
    ...(r.kind === "files" ? {} : { "Content-Type": "application/json" }),
    ...(r.mode === "job" ? { Prefer: "respond-async" } : {}),
  };
}

// send makes the call and tells show of each change. What it returns cancels it.
export function send(r: Request, show: (s: State) => void): () => void {
  const x = new XMLHttpRequest();
  const s: State = { sent: 0, total: 0, began: performance.now(), parts: [] };
  const tell = (change: Partial<State>) => show({ ...Object.assign(s, change) });
  let read = 0;
  const readStream = () => {
    const end = x.responseText.lastIndexOf("\n") + 1;
    for (const line of x.responseText.slice(read, end).split("\n").filter(Boolean)) {
      const event = JSON.parse(line) as Part & { problem?: Problem };
      if (event.event === "problem") s.problem = event.problem ?? (event as unknown as Problem);
      else if (event.event !== "ping") s.parts.push(event);
    }
    read = end;
  };
  const streams = () => x.status === 200 && (x.getResponseHeader("Content-Type") ?? "").startsWith("application/x-ndjson");
  x.open("POST", at(pathOf(r)));
  for (const [name, value] of Object.entries({ ...headersOf(r), ...headers() })) x.setRequestHeader(name, value);
  x.upload.onprogress = (e) => tell({ sent: e.loaded, total: e.total });
  x.onprogress = () => {
    if (!streams()) return;
    readStream();
    tell({ status: x.status, parts: [...s.parts] });
  };
  x.onload = () => {
    const ended = performance.now();
    if (streams()) readStream();
    else if (x.status === 202) s.job = JSON.parse(x.responseText) as Job;
    else if (x.status < 300) s.parts = [{ event: "reply", frames: (JSON.parse(x.responseText) as { frames: Frame[] }).frames }];
    else s.problem = problemOf(x.status, x.responseText);
    tell({ status: x.status, ended });
  };
  x.onerror = () => tell({ problem: unreachable, ended: performance.now() });
  x.onabort = () => tell({ canceled: true, ended: performance.now() });
  x.send(bodyOf(r));
  return () => x.abort();
}

const shell = (s: string) => `'${s.replaceAll("'", "'\\''")}'`;

// snippets returns the same call in other languages, with YOUR_KEY where the key goes.
export function snippets(r: Request, keyed: boolean): Record<string, string> {
  const url = at(pathOf(r));
  const h = { ...headersOf(r), ...(keyed ? { Authorization: "Bearer YOUR_KEY" } : {}) };
  const files = r.kind === "files";
  let body = "";
  try {
    body = files ? "" : (bodyOf(r) as string);
  } catch {
    body = "{}";
  }
  const vars = r.vars ? JSON.stringify(r.vars) : "";
  const names = r.files.map((f) => f.name);
  const py = JSON.stringify;
  return {
    curl: [
      `curl -sN ${shell(url)}`, ...Object.entries(h).map(([k, v]) => `-H ${shell(`${k}: ${v}`)}`),
      ...(files ? [...names.map((n) => `-F ${shell(`frame=@${n}`)}`), ...(vars ? [`--form-string ${shell(`vars=${vars}`)}`] : [])] : [`-d ${shell(body)}`]),
    ].join(" \\\n  "),
    Python: [
      "import requests", "", "answer = requests.post(", `    ${py(url)},`, `    headers=${py(h)},`,
      ...(files
        ? [`    files=[${names.map((n) => `("frame", open(${py(n)}, "rb"))`).join(", ")}],`, ...(vars ? [`    data={"vars": ${py(vars)}},`] : [])]
        : [`    data=${py(body)}.encode(),`]),
      ")", "print(answer.text)",
    ].join("\n"),
    JavaScript: [
      ...(files ? ["const body = new FormData();", "for (const file of input.files) body.append(\"frame\", file);", ...(vars ? [`body.append("vars", ${py(vars)});`] : [])] : [`const body = ${py(body)};`]),
      `const answer = await fetch(${py(url)}, {`, "  method: \"POST\",", `  headers: ${py(h)},`, "  body,", "});", "console.log(await answer.text());",
    ].join("\n"),
  };
}
