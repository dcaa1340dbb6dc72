// The processes that the test needs: the gateway as built, a worker that counts,
// and static servers, whose ports make them different origins.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = new URL(".", import.meta.url);
const patience = 20_000; // for what never comes; slows nothing that works

// A Process is a running program, with the lines that it has written.
class Process {
  constructor(command, args, { lines: from }) {
    this.child = spawn(command, args, { cwd: fileURLToPath(here), stdio: ["ignore", "pipe", "pipe"] });
    this.lines = [];
    this.waiting = new Set();
    createInterface(this.child[from]).on("line", (line) => {
      this.lines.push(line);
      for (const look of this.waiting) look();
    });
    this.child[from === "stdout" ? "stderr" : "stdout"].resume();
    this.ended = once(this.child, "exit");
    process.once("exit", () => this.child.kill("SIGKILL")); // should the test itself die
  }

  // line waits for a line that find makes something of, and returns that.
  line(what, find) {
    return new Promise((found, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.waiting.delete(look);
        settle(value);
      };
      const look = () => {
        for (const line of this.lines) {
          const value = find(line);
          if (value !== undefined) return end(found, value);
        }
      };
      const fail = (why) => end(reject, new Error(`${what}: ${why}; it said:\n${this.lines.join("\n")}`));
      const timer = setTimeout(() => fail(`not within ${patience} ms`), patience);
      this.waiting.add(look);
      this.ended.then(([code]) => fail(`it ended with ${code}`), fail);
      look();
    });
  }

  // stop ends it, and says how it ended.
  async stop() {
    this.child.kill("SIGTERM");
    const [code, signal] = await this.ended;
    return code ?? signal;
  }
}

// startGateway starts the built one on free ports with its embedded broker and
// demo worker.
export async function startGateway(...flags) {
  const args = ["serve", "--listen", "127.0.0.1:0", "--embedded-bind", "tcp://127.0.0.1:*", ...flags];
  const gateway = new Process(resolve(process.env.BINARY), args, { lines: "stderr" });
  const logged = (msg, key, value) =>
    gateway.line(msg, (line) => {
      const entry = line.startsWith("{") ? JSON.parse(line) : {};
      return entry.msg === msg && (value === undefined || entry[key] === value) ? entry[key] : undefined;
    });
  gateway.broker = await logged("embedded broker", "endpoint");
  gateway.url = `http://${await logged("listening", "address")}`;
  gateway.serves = (service) => logged("service up", "service", service);
  for (const service of ["echo", "sleep", "stream"]) await gateway.serves(service);
  return gateway;
}

// newKey makes a key for services, and returns it and its entry for a keys file.
export function newKey(id, services) {
  const [key, entry] = execFileSync(resolve(process.env.BINARY), ["key", "new", id], { encoding: "utf8" }).split("\n");
  return { key, entry: entry.replace("['*']", JSON.stringify(services)) };
}

// startCounter starts a worker at the gateway's broker that prints what it is sent.
export async function startCounter(gateway, service) {
  const counter = new Process("/usr/bin/python3", ["counter.py", "--broker", gateway.broker, "--service", service], { lines: "stdout" });
  await gateway.serves(service);
  return counter;
}

// startProvider starts a real OpenID provider, of which pages of these paths, at any port of this machine, are clients.
export async function startProvider(...paths) {
  const pages = paths.flatMap((path) => [`http://localhost${path}`, `http://127.0.0.1${path}`]);
  const provider = new Process(resolve(process.env.PROVIDER), ["127.0.0.1:0", ...pages], { lines: "stdout" });
  provider.url = await provider.line("the provider's URL", (line) => line);
  return provider;
}

const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8" };

const folders = [new URL("../../examples/browser/", here), here];
const library = new URL("node_modules/oauth4webapi/build/index.js", here);

// startSite serves the example's files and the test's at a free port. All sites
// have the same pages: only their origin differs.
export async function startSite() {
  const server = createServer(async (request, response) => {
    const name = /^\/([a-z0-9]+\.(?:html|js))(?:\?|$)/.exec(request.url)?.[1] ?? "none";
    const places = name === "oauth4webapi.js" ? [library] : folders.map((folder) => new URL(name, folder));
    const files = await Promise.allSettled(places.map((place) => readFile(place)));
    const file = files.find(({ status }) => status === "fulfilled")?.value;
    if (file) response.writeHead(200, { "Content-Type": types[extname(name)] }).end(file);
    else response.writeHead(404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://localhost:${server.address().port}`,
    stop: () => new Promise((stopped) => server.close(stopped).closeAllConnections()),
  };
}
