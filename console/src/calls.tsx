// The last calls, as they end.
import { useEffect, useState } from "preact/hooks";
import { at, type EndedCall, headers, type Problem, problemOf, Refused, unreachable } from "./api";
import { size, time } from "./bytes";
import { ProblemBox } from "./parts";

// follow reads events with fetch, since EventSource can send no key.
async function follow(stop: AbortSignal, last: number, got: (calls: EndedCall[]) => void): Promise<void> {
  const response = await fetch(at("calls"), {
    headers: { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": String(last) } : {}), ...headers() }, signal: stop,
  });
  if (!response.ok || !response.body) throw new Refused(problemOf(response.status, await response.text()));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop() ?? "";
    got(events.flatMap((e) => /^data: (.*)$/m.exec(e)?.[1] ?? []).map((data) => JSON.parse(data) as EndedCall));
  }
}

export function Calls() {
  const [calls, setCalls] = useState<EndedCall[]>([]);
  const [problem, setProblem] = useState<Problem>();
  const [filter, setFilter] = useState("");
  const [following, setFollowing] = useState(true);
  useEffect(() => {
    if (!following) return;
    const stop = new AbortController();
    let last = calls[0]?.seq ?? 0;
    const run = async () => {
      while (!stop.signal.aborted) {
        try {
          await follow(stop.signal, last, (more) => {
            last = more.at(-1)?.seq ?? last;
            setProblem(undefined);
            setCalls((before) => [...more.reverse(), ...before].slice(0, 500));
          });
        } catch (e) {
          if (stop.signal.aborted) return;
          setProblem(e instanceof Refused ? e.problem : unreachable);
          if (e instanceof Refused) return;
        }
        await new Promise((next) => setTimeout(next, 1000));
      }
    };
    void run();
    return () => stop.abort();
  }, [following]);
  const shown = calls.filter((c) => filter.split(/\s+/).every((word) => `${c.service} ${c.principal ?? ""} ${c.status} ${c.code} ${c.request_id}`.includes(word)));
  return (
    <>
      <h1>Calls</h1>
      {problem && <ProblemBox p={problem} />}
      <div class="bar">
        <label>Filter <input type="search" value={filter} onInput={(e) => setFilter(e.currentTarget.value)} placeholder="echo timeout" /></label>
        <label class="check"><input type="checkbox" checked={following} onChange={(e) => setFollowing(e.currentTarget.checked)} /> follow</label>
        <span class="quiet">{shown.length} of the last {calls.length}</span>
      </div>
      <div class="scroll" tabIndex={0} role="region" aria-label="Calls">
        <table>
          <thead>
            <tr>
              <th>Time</th><th>Service</th><th>Principal</th><th class="n">Status</th><th>Code</th><th class="n">Took</th><th class="n">Queue</th>
              <th class="n">Broker</th><th class="n">In</th><th class="n">Out</th><th>Request</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((c) => (
              <tr key={c.seq}>
                <td class="mono">{new Date(c.time).toLocaleTimeString("en-GB")}</td><td>{c.service}</td><td>{c.principal ?? "–"}</td>
                <td class={`n ${c.status >= 400 ? "bad" : ""}`}>{c.status}</td><td>{c.code}</td><td class="n">{time(c.took_ms)}</td>
                <td class="n">{time(c.queue_ms)}</td><td class="n">{time(c.broker_ms)}</td><td class="n">{size(c.in)}</td><td class="n">{size(c.out)}</td>
                <td class="mono">{c.request_id.slice(0, 12)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
