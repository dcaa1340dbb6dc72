// The services and the gateway, live.
import { useState } from "preact/hooks";
import { ask, type Overview, type Problem, Refused } from "./api";
import { size, time } from "./bytes";
import { Badge, ProblemBox, usePoll } from "./parts";

type Row = Overview["services"][number];
type Gateway = NonNullable<Overview["gateway"]>;

// Spark has a bar for each minute: p50 in full, p99 behind it. A minute without calls has none.
function Spark({ minutes, label }: { minutes: Row["recent"]["by_minute"]; label: string }) {
  const top = Math.max(...minutes.map((m) => m.p99_ms), 0.001);
  const wide = 90 / minutes.length;
  return (
    <svg class="spark" viewBox="0 0 90 24" role="img" aria-label={label}>
      <path class="base" d="M0 23.5H90" />
      {minutes.flatMap((m, i) => [["p99", m.p99_ms] as const, ["p50", m.p50_ms] as const].map(([name, ms]) => {
        const high = m.calls ? Math.max(1, (22 * ms) / top) : 0;
        return <rect key={`${name}${i}`} class={name} x={i * wide} y={23 - high} width={wide - 1} height={high} />;
      }))}
    </svg>
  );
}

function Meter({ name, used, max, show = String }: { name: string; used: number; max: number; show?: (n: number) => string }) {
  return (
    <div class="meter">
      <span class="quiet">{name}</span> <b>{show(used)}</b> <span class="quiet">of {show(max)}</span>
      <progress value={used} max={max || 1} aria-label={name} />
    </div>
  );
}

function State({ g }: { g: Gateway }) {
  return (
    <>
      <section class="meters" aria-label="Bounds">
        <Meter name="Connections" {...g.connections} />
        <Meter name="Queue" {...g.queue} />
        <Meter name="Memory" {...g.memory} show={size} />
        <div class="meter"><span class="quiet">Orphans</span> <b>{g.orphans}</b><div class="quiet">given up; may still run</div></div>
      </section>
      {g.refused_origins.length > 0 && (
        <p class="warning">Pages of <code>{g.refused_origins.join(", ")}</code> were refused lately. If they are yours, allow them with <code>--cors-origin</code>.</p>
      )}
      <h2>Brokers</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Brokers">
        <table>
          <thead><tr><th>Name</th><th>State</th><th>Dialect</th><th class="n">In flight</th><th class="n">Reconnects</th><th class="n">Last reply</th><th>What to do</th></tr></thead>
          <tbody>
            {g.brokers.map((b) => (
              <tr key={b.name}>
                <td>{b.name}</td><td><Badge state={b.silent ? "silent" : b.state} /></td><td>{b.dialect}</td>
                <td class="n">{b.in_flight}</td><td class="n">{b.reconnects}</td><td class="n">{b.last_reply_ms === undefined ? "none yet" : `${time(b.last_reply_ms)} ago`}</td><td class="advice">{b.advice ?? "–"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function ServiceRow({ row: { service: s, recent: r, advice } }: { row: Row }) {
  return (
    <tr>
      <td><a href={`#/call/${encodeURIComponent(s.name)}`}>{s.name}</a>{s.description && <div class="quiet">{s.description}</div>}{advice && <div class="quiet bad">{advice}</div>}</td>
      <td><Badge state={s.silent ? "silent" : s.availability} /></td>
      <td class="n">{s.live?.workers ?? "–"}</td><td class="n">{s.live?.busy ?? "–"}</td><td class="n">{s.live?.queued ?? "–"}</td>
      <td class="n">{s.in_flight}</td><td class="n">{s.calls}</td><td class={`n ${s.failed ? "bad" : ""}`}>{s.failed}</td>
      <td class="n">{time(r.p50_ms)}</td><td class="n">{time(r.p99_ms)}</td>
      <td><Spark minutes={r.by_minute} label={`p50 and p99 of ${s.name} by minute, the last ${r.minutes}`} /></td>
    </tr>
  );
}

export function Services() {
  const [seen, setSeen] = useState<Overview>();
  const [problem, setProblem] = useState<Problem>();
  usePoll(async () => {
    try {
      setSeen(await ask<Overview>("overview"));
      setProblem(undefined);
    } catch (e) {
      if (e instanceof Refused) setProblem(e.problem);
    }
  }, 2000, []);
  return (
    <>
      <h1>Services</h1>
      {problem && <ProblemBox p={problem} />}
      {!seen && !problem && <p class="quiet">Looking …</p>}
      {seen?.services.length === 0 && <p>There is no service that you may call. A worker that registers appears here.</p>}
      {seen && seen.services.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Services">
          <table>
            <thead>
              <tr>
                <th>Name</th><th>State</th><th class="n">Workers</th><th class="n">Busy</th><th class="n">Queued</th><th class="n">In flight</th>
                <th class="n">Calls</th><th class="n">Failed</th><th class="n">p50</th><th class="n">p99</th><th>p50, p99 by minute</th>
              </tr>
            </thead>
            <tbody>{seen.services.map((row) => <ServiceRow key={row.service.name} row={row} />)}</tbody>
          </table>
        </div>
      )}
      {seen?.gateway && <State g={seen.gateway} />}
    </>
  );
}
