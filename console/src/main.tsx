import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { key, setKey } from "./api";
import { Call } from "./call";
import { Calls } from "./calls";
import { Jobs } from "./jobs";
import { begin, end, forget, login, returned, who, why } from "./login";
import { Services } from "./services";

function Key({ changed, failed }: { changed: () => void; failed: (why: string) => void }) {
  const [has, setHas] = useState(key() !== "");
  const issuer = login;
  const take = (k: string) => {
    forget();
    setKey(k);
    setHas(k !== "");
    changed();
  };
  const keep = (e: SubmitEvent) => {
    e.preventDefault();
    take(String(new FormData(e.currentTarget as HTMLFormElement).get("key") ?? "").trim());
  };
  if (has) {
    const name = who()?.name;
    return <button type="button" class="plain" title={name} onClick={() => take("")}>{name === undefined ? "Forget the key" : "Log out"}</button>;
  }
  return (
    <form class="key" onSubmit={keep}>
      {issuer && <button type="button" onClick={() => void begin(issuer).catch((e) => failed(why(e)))}>Log in</button>}
      <input name="key" type="password" autocomplete="off" placeholder="key, for this tab" aria-label="Key" />
      <button type="submit" class="plain">Use</button>
    </form>
  );
}

const pages = [["services", "Services"], ["call", "Call"], ["calls", "Calls"], ["jobs", "Jobs"]];

function App({ failure }: { failure: string }) {
  const [route, setRoute] = useState(location.hash);
  const [round, setRound] = useState(0); // a new key asks for everything anew
  const [failed, setFailed] = useState(failure); // of a login: why
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
        <Key failed={setFailed} changed={() => {
          setFailed("");
          setRound((n) => n + 1);
        }} />
      </header>
      {failed && <p class="problem" role="alert">The login failed: {failed}.</p>}
      <main key={round}>
        {page === "call" ? <Call name={decodeURIComponent(name)} /> : page === "calls" ? <Calls /> : page === "jobs" ? <Jobs opened={name} /> : <Services />}
      </main>
    </>
  );
}

const failure = login && returned() ? await end(login).then(() => "", why) : "";
render(<App failure={failure} />, document.getElementById("app")!);
