// My jobs. They are the gateway's: leave the page and come back.
import { useEffect, useState } from "preact/hooks";
import { ask, type Frame, type Job, type Problem, Refused, type Service, unreachable } from "./api";
import { clock, declared, size, time } from "./bytes";
import { follow, keepOn, over, watch } from "./events";
import { Badge, ProblemBox, usePoll } from "./parts";
import { FrameView } from "./reply";

const watched = 3; // jobs at once, the newest: a browser opens six connections to a host

type Event =
  | { event: "state"; job: Job }
  | { event: "partial" | "final"; seq: number; frames: Frame[] }
  | { event: "problem"; problem: Problem };

// useWatch tells of the jobs that are not over, as they change.
function useWatch(jobs: Job[], told: (j: Job) => void, gone: () => void) {
  const ids = jobs.filter((j) => !over(j)).slice(0, watched).map((j) => j.id).join();
  useEffect(() => {
    const stop = new AbortController();
    for (const id of ids.split(",").filter(Boolean)) void keepOn(stop.signal, () => watch(id, stop.signal, told), gone);
    return () => stop.abort();
  }, [ids]);
}

function Timeline({ job }: { job: Job }) {
  const between = (a: string, b: string) => time(Date.parse(b) - Date.parse(a));
  return (
    <ol class="timeline" aria-label="What happened">
      <li>queued <span class="mono">{clock(job.created)}</span></li>
      {job.started && <li>sent <span class="mono">{clock(job.started)}</span> <span class="quiet">after {between(job.created, job.started)}</span></li>}
      {job.ended && <li>{job.state} <span class="mono">{clock(job.ended)}</span> <span class="quiet">after {between(job.started ?? job.created, job.ended)}</span></li>}
      {!over(job) && <li class="quiet">{job.started ? "It runs" : job.position ? `Number ${job.position} in your queue` : "It waits"} …</li>}
    </ol>
  );
}

// Opened shows a job, its states and the parts of its reply as they come.
function Opened({ id, told }: { id: string; told: (j: Job) => void }) {
  const [job, setJob] = useState<Job>();
  const [parts, setParts] = useState<{ seq: number; frames: Frame[] }[]>([]);
  const [problem, setProblem] = useState<Problem>();
  const [service, setService] = useState<Service>();
  useEffect(() => {
    const stop = new AbortController();
    let last: number | undefined;
    let ended = false;
    const got = (events: Event[]) => {
      setProblem(undefined);
      for (const e of events) {
        if (e.event === "state") {
          setJob(e.job);
          told(e.job);
        } else if (e.event === "problem") {
          setProblem(e.problem ?? (e as unknown as Problem));
        } else {
          setParts((before) => [...before, e]);
          if (e.event === "partial") last = e.seq;
        }
        ended ||= e.event === "final" || e.event === "problem";
      }
    };
    void keepOn(stop.signal, async () => {
      await follow(`jobs/${id}/events`, stop.signal, last, got);
      return ended;
    }, (e) => setProblem(e instanceof Refused ? e.problem : unreachable));
    return () => stop.abort();
  }, [id]);
  useEffect(() => {
    if (job) ask<Service>(`services/${encodeURIComponent(job.service)}`).then(setService, () => undefined); // for what its samples are
  }, [job?.service]);
  const like = declared(service?.content_type);
  return (
    <section aria-label="Job">
      <h2>Job <span class="mono">{id.slice(0, 12)}</span> {job && <>of {job.service} <Badge state={job.state} /></>}</h2>
      {job && <Timeline job={job} />}
      {problem && <ProblemBox p={problem} />}
      {parts.map((p) => p.frames.map((f, i) => <FrameView key={`${p.seq}.${i}.${service?.name}`} frame={f} like={like} number={parts.length > 1 ? `${p.seq}.${i}` : String(i)} />))}
    </section>
  );
}

async function remove(id: string, opened: boolean) {
  await ask(`jobs/${id}`, { method: "DELETE" });
  if (opened) location.hash = "#/jobs";
}

function Row({ job: j, opened, act }: { job: Job; opened: boolean; act: (what: () => Promise<unknown>) => void }) {
  return (
    <tr class={opened ? "opened" : undefined}>
      <td class="mono"><a href={`#/jobs/${j.id}`} aria-current={opened ? "true" : undefined}>{j.id.slice(0, 12)}</a></td>
      <td>{j.service}</td>
      <td><Badge state={j.state} />{j.problem && <div class="quiet">{j.problem.code}</div>}</td>
      <td class="mono wide">{clock(j.created)}</td><td class="mono wide">{j.ended ? clock(j.ended) : "–"}</td>
      <td class="wide">{j.executed}</td><td class="n wide">{over(j) ? size(j.bytes) : j.parts ? `${j.parts} parts` : "–"}</td>
      <td>
        {over(j)
          ? <button type="button" class="small" onClick={() => act(() => remove(j.id, opened))}>delete</button>
          : <button type="button" class="small" onClick={() => act(() => ask(`jobs/${j.id}/cancel`, { method: "POST" }))}>cancel</button>}
      </td>
    </tr>
  );
}

export function Jobs({ opened }: { opened: string }) {
  const [jobs, setJobs] = useState<Job[]>();
  const [problem, setProblem] = useState<Problem>();
  const look = async () => {
    try {
      setJobs((await ask<{ jobs: Job[] }>("jobs?limit=100")).jobs);
      setProblem(undefined);
    } catch (e) {
      if (e instanceof Refused) setProblem(e.problem);
    }
  };
  const act = async (what: () => Promise<unknown>) => {
    try {
      await what();
      await look();
    } catch (e) {
      if (e instanceof Refused) setProblem(e.problem);
    }
  };
  const told = (job: Job) => setJobs((before) => before?.map((j) => (j.id === job.id ? job : j)));
  usePoll(look, 10_000, []); // for those that are made elsewhere
  useWatch(jobs ?? [], told, () => void look());
  return (
    <>
      <h1>Jobs</h1>
      {problem && <ProblemBox p={problem} />}
      {problem?.code === "not_found" && !jobs && <p>This gateway keeps no jobs: <code>--jobs</code> turns them on.</p>}
      {jobs?.length === 0 && <p class="quiet">You have no jobs. Call a service with the answer “job”.</p>}
      {jobs && jobs.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Jobs">
          <table>
            <thead>
              <tr><th>Job</th><th>Service</th><th>State</th><th class="wide">Made</th><th class="wide">Ended</th><th class="wide">Ran</th><th class="n wide">Reply</th><th>Action</th></tr>
            </thead>
            <tbody>{jobs.map((j) => <Row key={j.id} job={j} opened={j.id === opened} act={act} />)}</tbody>
          </table>
        </div>
      )}
      {opened && jobs && <Opened key={opened} id={opened} told={told} />}
    </>
  );
}
