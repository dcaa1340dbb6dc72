// Logs in at a real OpenID provider, in Chromium: the page of examples/browser, and GET /console.
//
//   BINARY=../../bin/gateway PROVIDER=../../bin/provider node --test login.test.mjs
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, afterEach, test } from "node:test";

import { launch } from "./chromium.mjs";
import { startGateway, startProvider, startSite } from "./gateway.mjs";

const password = "verysecure";
let folder, provider, site, gateway, browser, page, complaints;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "login-"));
  [provider, site] = await Promise.all([startProvider("/console", "/login.html"), startSite()]);
  await writeFile(join(folder, "gateway.yaml"), `issuers:
  - {issuer: "${provider.url}", audience: mdp-gateway}
access:
  - id: known
    token: {issuer: "${provider.url}", claims: {groups: students, email: test-user@zitadel.ch}}
    services: [echo]
console:
  oidc: {issuer: "${provider.url}", client_id: mdp-gateway}
`);
  gateway = await startGateway("--config", join(folder, "gateway.yaml"), "--cors-origin", site.url);
  browser = await launch();
});

after(async () => {
  await browser?.end();
  const ended = await gateway?.stop();
  await Promise.all([provider?.stop(), site?.stop()]);
  await rm(folder, { recursive: true, force: true });
  assert.equal(ended, 0);
});

beforeEach(async () => {
  await browser.clearCookies();
  complaints = [];
  page = await browser.newPage();
  page.on("console", (m) => { if (/Content Security|Refused to/.test(m.text())) complaints.push(m.text()); });
  page.on("pageerror", (e) => complaints.push(String(e)));
});

afterEach(async () => {
  await page.close();
  assert.deepEqual(complaints, []);
});

// signIn is what a person does on the provider's page.
async function signIn(user) {
  await page.getByLabel("Username").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Login" }).click();
}

// asked waits for the request by which the page sends the browser to the provider, and returns its parameters.
const asked = async () => new URL((await page.waitForRequest((r) => r.url().includes("code_challenge="))).url()).searchParams;

test("a page of another origin logs in and calls", async () => {
  const start = `${site.url}/login.html`;
  await page.goto(start);
  await page.getByText("nobody is logged in").waitFor();
  await page.fill("[name=gateway]", gateway.url);
  await page.fill("[name=issuer]", provider.url);
  await page.getByRole("button", { name: "Log in" }).click();
  await signIn("test-user@localhost");
  await page.getByText("test-user@zitadel.ch is logged in").waitFor();
  assert.equal(page.url(), start, "no code is left in the address");
  await page.getByRole("button", { name: "Call echo" }).click();
  await page.locator("#call output.done").getByText("hello").waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage })), JSON.stringify({ gateway: gateway.url }), "nothing of the login is stored");
});

test("a page takes no login that it did not begin", async () => {
  await page.goto(`${site.url}/login.html?code=stolen&state=made-up`);
  await page.getByText("this login did not begin in this tab").waitFor();
  assert.ok(await page.getByRole("button", { name: "Call echo" }).isDisabled());
});

test("the console logs in by code, PKCE, state and nonce, for its tab", async () => {
  await page.goto(`${gateway.url}/console#/services`);
  await page.getByRole("alert").getByText("Log in at the top right").waitFor();
  const [to] = await Promise.all([asked(), page.getByRole("button", { name: "Log in" }).click()]);
  assert.deepEqual([to.get("response_type"), to.get("code_challenge_method"), to.get("client_id")], ["code", "S256", "mdp-gateway"]);
  for (const name of ["state", "nonce", "code_challenge"]) assert.equal(to.get(name).length, 43, name); // 256 bits
  await signIn("test-user@localhost");
  await page.getByRole("link", { name: "echo" }).waitFor();
  assert.equal(page.url(), `${gateway.url}/console#/services`, "no code is left in the address");
  await page.reload();
  await page.getByRole("link", { name: "echo" }).click();
  await page.getByRole("button", { name: "Call echo" }).click();
  await page.locator(".frame").first().waitFor();
  const other = await browser.newPage();
  await other.goto(`${gateway.url}/console`);
  await other.getByRole("button", { name: "Log in" }).waitFor();
  await other.close();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("button", { name: "Log in" }).waitFor();
  assert.deepEqual(await page.evaluate(() => ({ ...sessionStorage, ...localStorage })), {});
});

test("the console tells who is logged in and has no right, and when a login has ended", async () => {
  await page.goto(`${gateway.url}/console`);
  await page.getByRole("button", { name: "Log in" }).click();
  await signIn("test-user2");
  await page.getByRole("alert").getByText(/You are logged in as test-user2.*, who has no right here/).waitFor();
  await page.evaluate(() => {
    const who = "mdp-gateway login"; // as it is after an hour
    sessionStorage.setItem(who, JSON.stringify({ ...JSON.parse(sessionStorage.getItem(who)), until: 1 }));
  });
  await page.reload();
  await page.getByRole("alert").getByText("Your login has ended: log out and in again").waitFor();
});

test("the console takes no login that it did not begin, and none with another nonce", async () => {
  await page.goto(`${gateway.url}/console?code=stolen&state=made-up`);
  await page.getByRole("alert").getByText("The login failed: it did not begin in this tab").waitFor();
  assert.equal(page.url(), `${gateway.url}/console`);
  await page.route(/code_challenge=/, (route, request) => {
    const changed = new URL(request.url());
    changed.searchParams.set("nonce", "of-another-login");
    return route.fulfill({ status: 302, headers: { Location: changed.href } });
  }, { times: 1 });
  await page.getByRole("button", { name: "Log in" }).click();
  await signIn("test-user@localhost");
  await page.getByRole("alert").getByText(/The login failed: .*nonce/).waitFor();
  assert.deepEqual(await page.evaluate(() => ({ ...sessionStorage })), {});
});

test("the console may ask the issuer, and no other host", async () => {
  const response = await page.goto(`${gateway.url}/console`);
  assert.ok(response.headers()["content-security-policy"].endsWith(`; connect-src 'self' ${provider.url}`));
  assert.equal(await page.evaluate((url) => fetch(url).then(() => "asked", () => "refused"), `${site.url}/index.html`), "refused");
  complaints.splice(0); // the policy's, of this
});
