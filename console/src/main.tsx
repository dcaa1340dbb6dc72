import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { key, setKey } from "./api";
import { Call } from "./call";
import { Calls } from "./calls";
import { Jobs } from "./jobs";
import { Services } from "./services";

function Key({ changed }: { changed: () => void }) {
  const [has, setHas] = useState(key() !== "");
  const keep = (e: SubmitEvent) => {
    e.preventDefault();
    const pasted = String(new FormData(e.currentTarget as HTMLFormElement).get("key") ?? "").trim();
    setKey(pasted);
    setHas(pasted !== "");
    changed();
  };
  const forget = () => {
    setKey("");
    setHas(false);
    changed();
  };
  if (has) return <button type="button" class="plain" onClick={forget}>Forget the key</button>;
  return (
    <form class="key" onSubmit={keep}>
      <input name="key" type="password" autocomplete="off" placeholder="key, for this tab" aria-label="Key" />
      <button type="submit" class="plain">Use</button>
    </form>
  );
}

const pages = [["services", "Services"], ["call", "Call"], ["calls", "Calls"], ["jobs", "Jobs"]];

function App() {
  const [route, setRoute] = useState(location.hash);
  const [round, setRound] = useState(0); // a new key asks for everything anew
  useEffect(() => {
    const moved = () => setRoute(location.hash);
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  const [, page = "services", name = ""] = /^#\/(\w+)(?:\/(.*))?$/.exec(route) ?? [];
  return (
    <>
      <header class="top">
        <strong>mdp-gateway</strong>
        <nav aria-label="Views">
          {pages.map(([id, label]) => <a key={id} href={`#/${id}`} aria-current={page === id ? "page" : undefined}>{label}</a>)}
          <a href="docs">API</a>
        </nav>
        <Key changed={() => setRound((n) => n + 1)} />
      </header>
      <main key={round}>
        {page === "call" ? <Call name={decodeURIComponent(name)} /> : page === "calls" ? <Calls /> : page === "jobs" ? <Jobs /> : <Services />}
      </main>
    </>
  );
}

render(<App />, document.getElementById("app")!);
