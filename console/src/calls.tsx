// The last calls, as they end.
import { useEffect, useState } from "preact/hooks";
import { type EndedCall, type Problem, Refused, unreachable } from "./api";
import { clock, size, time } from "./bytes";
import { follow, keepOn } from "./events";
import { ProblemBox } from "./parts";

export function Calls() {
  const [calls, setCalls] = useState<EndedCall[]>([]);
  const [problem, setProblem] = useState<Problem>();
  const [filter, setFilter] = useState("");
  const [following, setFollowing] = useState(true);
  useEffect(() => {
    if (!following) return;
    const stop = new AbortController();
    let last = calls[0]?.seq;
    const read = () => follow<EndedCall>("calls", stop.signal, last, (more) => {
      last = more.at(-1)?.seq ?? last;
      setProblem(undefined);
      setCalls((before) => [...more.reverse(), ...before].slice(0, 500));
    });
    void keepOn(stop.signal, async () => {
      await read();
      return false;
    }, (e) => setProblem(e instanceof Refused ? e.problem : unreachable));
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
      {calls.length === 0 && !problem && <p class="quiet">No call has ended yet. Each appears here as it ends.</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label="Calls">
        <table>
          <thead>
            <tr>
              <th>Time</th><th>Service</th><th class="n">Status</th><th>Code</th><th class="n">Took</th><th class="n">Queue</th>
              <th class="n">Broker</th><th class="n">In</th><th class="n">Out</th><th>Principal</th><th>Request</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((c) => (
              <tr key={c.seq}>
                <td class="mono">{clock(c.time)}</td><td>{c.service}</td><td class={`n ${c.status >= 400 ? "bad" : ""}`}>{c.status}</td>
                <td>{c.code}</td><td class="n">{time(c.took_ms)}</td><td class="n">{time(c.queue_ms)}</td><td class="n">{time(c.broker_ms)}</td>
                <td class="n">{size(c.in)}</td><td class="n">{size(c.out)}</td><td>{c.principal ?? "–"}</td>
                <td class="mono" title={c.request_id}>{c.request_id.slice(0, 12)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
