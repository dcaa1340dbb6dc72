// What several views use.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Problem } from "./api";
import { login, who } from "./login";

const executed = {
  no: "It did not run.",
  maybe: "It may have run, or may still run.",
  yes: "It ran.",
};

// noProof says what to do where the gateway does not know who asks.
function noProof(): string {
  const known = who();
  if (!known) return login ? "Log in at the top right, or paste a key." : "Paste a key at the top right.";
  if (known.until * 1000 < Date.now()) return "Your login has ended: log out and in again at the top right.";
  return `You are logged in as ${known.name}, who has no right here: ask the operator.`;
}

export function advice(p: Problem): string {
  switch (p.code) {
    case "unauthorized": return noProof();
    case "forbidden": return `Your ${who() ? "login" : "key"} has no right to this: ask the operator.`;
    case "timeout": return "Give it more time, or make a job of it.";
    case "service_not_found": return "No worker has registered this name: see its spelling, and whether the worker runs.";
    case "no_workers": return "Start a worker of this service; one may just be restarting.";
    case "broker_unavailable": case "unreachable": return "See the brokers under Services, and the gateway's log.";
    case "invalid_vars": return "See the variables: they do not fit the service's schema.";
    case "busy": case "rate_limited": return "Wait a moment and send it again.";
  }
  if (p.retryable) return "You may send it again.";
  return p.executed === "maybe" || p.executed === "yes" ? "Send it again only if running twice does no harm." : "";
}

export function ProblemBox({ p }: { p: Problem }) {
  const { title, status, detail, code, request_id } = p;
  return (
    <section class="problem" role="alert">
      <h2>{title} <code>{status || ""} {code}</code></h2>
      {detail && <p>{detail}</p>}
      {typeof p.worker_detail === "string" && <p>The worker says: {p.worker_detail}</p>}
      <p><strong>{p.executed ? executed[p.executed] : ""}</strong> {advice(p)}</p>
      {request_id && <p class="quiet">request <code>{request_id}</code></p>}
    </section>
  );
}

export function Badge({ state }: { state: string }) {
  return <span class={`badge ${state}`}>{state}</span>;
}

// poll calls look now and again while the page is seen.
export function usePoll(look: () => Promise<void>, every: number, on: unknown[]) {
  useEffect(() => {
    let stopped = false;
    let timer = 0;
    const round = async () => {
      if (!document.hidden) await look();
      if (!stopped) timer = window.setTimeout(round, every);
    };
    void round();
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }, on);
}

export function Copy({ text, children }: { text: string; children: ComponentChildren }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return <button type="button" class="small" onClick={copy}>{done ? "copied" : children}</button>;
}
