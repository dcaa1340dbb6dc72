// A call of a service: what to send, how it goes, and the reply.
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, key, type Problem, Refused, type Service } from "./api";
import { declared, size } from "./bytes";
import { defaults, type Schema, type Vars, VarsForm } from "./form";
import { Copy, ProblemBox } from "./parts";
import { FrameView } from "./reply";
import { type Request, send, snippets, type State } from "./send";

function Progress({ s }: { s: State }) {
  const [now, setNow] = useState(performance.now());
  useEffect(() => {
    if (s.ended !== undefined) return;
    const timer = setInterval(() => setNow(performance.now()), 100);
    return () => clearInterval(timer);
  }, [s.ended]);
  return (
    <p class="bar" role="status">
      <span class="elapsed">{(((s.ended ?? Math.max(now, s.began)) - s.began) / 1000).toFixed(s.ended ? 3 : 1)} s</span>
      {s.status !== undefined && <span class={s.status >= 400 ? "bad" : "good"}>{s.status}</span>}
      {s.canceled && <span class="bad">canceled: a request that was sent may still run</span>}
      {s.total > 100_000 && <label class="upload">{s.sent < s.total ? "uploading" : "uploaded"} {size(s.sent)} of {size(s.total)} <progress value={s.sent} max={s.total} /></label>}
    </p>
  );
}

function Outcome({ s, contentType }: { s: State; contentType: string | undefined }) {
  const like = declared(contentType);
  return (
    <section aria-label="Reply">
      <Progress s={s} />
      {s.problem && <ProblemBox p={s.problem} />}
      {s.job && <p>It is a job now: <a href={`#/jobs/${s.job.id}`}>{s.job.id.slice(0, 12)} under Jobs</a>.</p>}
      {s.parts.map((part, i) => part.frames.map((frame, k) => <FrameView key={`${s.began}.${i}.${k}`} frame={frame} like={like} number={s.parts.length > 1 ? `${i}.${k}` : String(k)} />))}
    </section>
  );
}

function Files({ files, set }: { files: File[]; set: (f: File[]) => void }) {
  const drop = (e: DragEvent) => {
    e.preventDefault();
    set([...files, ...(e.dataTransfer?.files ?? [])]);
  };
  return (
    <div class="drop" onDragOver={(e) => e.preventDefault()} onDrop={drop}>
      <label>Files, one frame each <input type="file" multiple onChange={(e) => set([...(e.currentTarget.files ?? [])])} /></label>
      <p class="quiet">or drop them here</p>
      <ul>
        {files.map((f, i) => (
          <li key={`${i}${f.name}`}>
            {f.name} <span class="quiet">{size(f.size)}</span>{" "}
            <button type="button" class="small" aria-label={`Remove ${f.name}`} onClick={() => set(files.filter((_, k) => k !== i))}>remove</button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function VarsEditor({ schema, vars, set, bad }: { schema: Schema | undefined; vars: Vars; set: (v: Vars) => void; bad: (b: boolean) => void }) {
  const [text, setText] = useState<string>();
  const edit = (typed: string) => {
    setText(typed);
    try {
      set(JSON.parse(typed || "{}") as Vars);
      bad(false);
    } catch {
      bad(true);
    }
  };
  return (
    <fieldset>
      <legend>Variables</legend>
      {schema?.properties && <VarsForm schema={schema} vars={vars} set={(v) => { setText(undefined); bad(false); set(v); }} />}
      <label>as JSON <textarea class="mono" rows={6} value={text ?? JSON.stringify(vars, null, 1)} onInput={(e) => edit(e.currentTarget.value)} spellcheck={false} /></label>
    </fieldset>
  );
}

function Snippets({ r }: { r: Request }) {
  const [language, setLanguage] = useState("curl");
  const all = snippets(r, key() !== "");
  return (
    <details>
      <summary>The same call for curl, Python and JavaScript</summary>
      <div class="bar">
        <label>Language <select value={language} onChange={(e) => setLanguage(e.currentTarget.value)}>{Object.keys(all).map((l) => <option key={l}>{l}</option>)}</select></label>
        <Copy text={all[language] ?? ""}>copy</Copy>
      </div>
      <pre tabIndex={0}>{all[language]}</pre>
    </details>
  );
}

interface Example { body?: unknown; encoding?: string; frames?: unknown[]; vars?: Vars }

// proposed returns what the example of a service fills in.
function proposed(example: Example | undefined, otherwise: Vars): Pick<Request, "kind" | "text" | "vars"> {
  const { body, encoding, frames, vars = otherwise } = example ?? {};
  if (frames) return { kind: "frames", text: JSON.stringify(frames, null, 1), vars };
  const kind = encoding === "base64" ? "base64" : encoding === "json" || typeof body === "object" ? "json" : "text";
  return { kind, text: kind !== "json" && typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body, null, 1), vars };
}

function Form({ service }: { service: Service }) {
  const schema = service.vars_schema as Schema | undefined;
  const [r, setR] = useState<Request>({ service: service.name, ...proposed(service.example as Example | undefined, defaults(schema)), files: [], timeout: "", mode: "reply" });
  const [bad, setBad] = useState(false);
  const [state, setState] = useState<State>();
  const cancel = useRef<() => void>(() => undefined);
  useEffect(() => () => cancel.current?.(), []);
  const change = (c: Partial<Request>) => setR((before) => ({ ...before, ...c }));
  const vars = service.vars === "none" || Object.keys(r.vars ?? {}).length === 0 ? undefined : r.vars;
  const request = { ...r, vars };
  const running = state !== undefined && state.ended === undefined;
  const submit = (e: Event) => {
    e.preventDefault();
    try {
      cancel.current = send(request, setState);
    } catch {
      setBad(true);
    }
  };
  return (
    <div class="split">
      <form onSubmit={submit}>
        <fieldset>
          <legend>Body</legend>
          <div class="bar" role="radiogroup" aria-label="Body">
            {(["text", "json", "base64", "frames", "files"] as const).map((k) => (
              <label key={k} class="check"><input type="radio" name="kind" checked={r.kind === k} onChange={() => change({ kind: k })} /> {k}</label>
            ))}
          </div>
          {r.kind === "files"
            ? <Files files={r.files} set={(files) => change({ files })} />
            : <textarea aria-label="Body" class="mono" rows={6} value={r.text} onInput={(e) => { setBad(false); change({ text: e.currentTarget.value }); }} spellcheck={false} />}
          {r.kind === "frames" && <p class="quiet">A JSON list: text as a string, other frames as <code>{'{"data": …, "encoding": "base64"}'}</code> or <code>"json"</code>.</p>}
        </fieldset>
        {service.vars !== "none" && <VarsEditor schema={schema} vars={r.vars ?? {}} set={(v) => change({ vars: v })} bad={setBad} />}
        <div class="bar">
          <label>Timeout <input class="short" type="text" pattern="[0-9.]+(ms|s|m|h)" placeholder={`${service.timeout_ms / 1000}s`} value={r.timeout} onInput={(e) => change({ timeout: e.currentTarget.value })} /></label>
          <label>Answer <select value={r.mode} onChange={(e) => change({ mode: e.currentTarget.value as Request["mode"] })}><option>reply</option><option>stream</option><option>job</option></select></label>
        </div>
        {bad && <p class="bad" role="alert">The body or the variables are no JSON.</p>}
        <div class="bar">
          <button type="submit" disabled={running || bad}>Call {service.name}</button>
          <button type="button" class="plain" disabled={!running} onClick={() => cancel.current?.()}>Cancel</button>
        </div>
        <Snippets r={request} />
      </form>
      <div>{state ? <Outcome s={state} contentType={service.content_type} /> : <p class="quiet">The reply appears here.</p>}</div>
    </div>
  );
}

export function Call({ name }: { name: string }) {
  const [service, setService] = useState<Service>();
  const [names, setNames] = useState<string[]>([]);
  const [problem, setProblem] = useState<Problem>();
  useEffect(() => {
    let left = false;
    const failed = (e: unknown) => {
      if (!left && e instanceof Refused) setProblem(e.problem);
    };
    setService(undefined);
    setProblem(undefined);
    ask<{ services: Service[] }>("services").then((all) => { if (!left) setNames(all.services.map((s) => s.name)); }, failed);
    if (name) ask<Service>(`services/${encodeURIComponent(name)}`).then((s) => { if (!left) setService(s); }, failed);
    return () => { left = true; };
  }, [name]);
  return (
    <>
      <h1>Call</h1>
      <div class="bar">
        <label>Service <select value={name} onChange={(e) => (location.hash = `#/call/${encodeURIComponent(e.currentTarget.value)}`)}>
          <option value="">choose one</option>
          {(name && !names.includes(name) ? [name, ...names] : names).map((n) => <option key={n} value={n}>{n}</option>)}
        </select></label>
        {service?.description && <span class="quiet">{service.description}</span>}
      </div>
      {!name && !problem && <p class="quiet">{names.length ? "Choose the service to call." : "There is no service that you may call."}</p>}
      {problem && <ProblemBox p={problem} />}
      {service && <Form key={service.name} service={service} />}
    </>
  );
}
