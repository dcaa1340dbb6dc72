// My jobs. They are the gateway's: leave the page and come back.
import { useState } from "preact/hooks";
import { ask, type Frame, type Job, type Problem, Refused } from "./api";
import { Badge, ProblemBox, usePoll } from "./parts";
import { FrameView } from "./reply";

const over = (j: Job) => j.state !== "queued" && j.state !== "running";

export function Jobs() {
  const [jobs, setJobs] = useState<Job[]>();
  const [problem, setProblem] = useState<Problem>();
  const [reply, setReply] = useState<{ id: string; frames: Frame[] }>();
  const attempt = async (what: () => Promise<void>) => {
    try {
      await what();
      setProblem(undefined);
    } catch (e) {
      if (e instanceof Refused) setProblem(e.problem);
    }
  };
  const look = () => attempt(async () => setJobs((await ask<{ jobs: Job[] }>("jobs?limit=100")).jobs));
  usePoll(look, 2000, []);
  const act = (what: () => Promise<unknown>) => attempt(async () => {
    await what();
    setJobs((await ask<{ jobs: Job[] }>("jobs?limit=100")).jobs);
  });
  const read = (id: string) => attempt(async () => setReply({ id, frames: (await ask<{ frames: Frame[] }>(`jobs/${id}/reply`)).frames }));
  return (
    <>
      <h1>Jobs</h1>
      {problem && <ProblemBox p={problem} />}
      {problem?.code === "not_found" && <p>This gateway keeps no jobs: <code>--jobs</code> turns them on.</p>}
      {jobs?.length === 0 && <p class="quiet">You have no jobs. Call a service with the answer “job”.</p>}
      {jobs && jobs.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Jobs">
          <table>
            <thead><tr><th>Job</th><th>Service</th><th>State</th><th>Made</th><th>Ended</th><th>Ran</th><th>What can be done</th></tr></thead>
            <tbody>
              {jobs.map((j) => (
                <tr key={j.id}>
                  <td class="mono">{j.id.slice(0, 12)}</td><td>{j.service}</td><td><Badge state={j.state} /></td>
                  <td class="mono">{new Date(j.created).toLocaleTimeString("en-GB")}</td>
                  <td class="mono">{j.ended ? new Date(j.ended).toLocaleTimeString("en-GB") : "–"}</td><td>{j.executed}</td>
                  <td class="actions">
                    {over(j)
                      ? <><button type="button" class="small" onClick={() => read(j.id)}>reply</button> <button type="button" class="small" onClick={() => act(() => ask(`jobs/${j.id}`, { method: "DELETE" }))}>delete</button></>
                      : <button type="button" class="small" onClick={() => act(() => ask(`jobs/${j.id}/cancel`, { method: "POST" }))}>cancel</button>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {reply && (
        <section aria-label="Reply">
          <h2>Reply of {reply.id.slice(0, 12)}</h2>
          {reply.frames.map((f, i) => <FrameView key={`${reply.id}${i}`} frame={f} number={String(i)} />)}
        </section>
      )}
    </>
  );
}
