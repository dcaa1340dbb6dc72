// Login at an OpenID Connect issuer by the authorization code flow with PKCE (RFC 7636), as a public client. What it
// yields is an ID token, which the gateway takes for a key and verifies; the page keeps it for this tab only.
import * as oauth from "oauth4webapi";
import { base, setKey } from "./api";

interface Login { issuer: string; client_id: string }
interface Pending { state: string; nonce: string; verifier: string; view: string }
export interface Who { name: string; until: number } // until: in seconds since 1970

// The gateway names its issuer in the page.
export const login = JSON.parse(document.querySelector<HTMLMetaElement>("meta[name=login]")?.content ?? "null") as Login | null;

const WHO = "mdp-gateway login";
const PENDING = "mdp-gateway login under way";

// who is logged in, if somebody is.
export const who = () => JSON.parse(sessionStorage.getItem(WHO) ?? "null") as Who | null;

// forget ends the login in this tab. The issuer's own session goes on.
export const forget = () => sessionStorage.removeItem(WHO);

const back = new URL("console", base).href; // where the issuer sends the browser to: it must know this address

async function discover(l: Login): Promise<[oauth.AuthorizationServer, object]> {
  if (!isSecureContext) throw new Error("a page logs in over https only, or at localhost");
  const issuer = new URL(l.issuer);
  const options = { [oauth.allowInsecureRequests]: issuer.protocol === "http:" }; // the gateway takes these on loopback only
  return [await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options)), options];
}

// begin leaves the page for the issuer's.
export async function begin(l: Login): Promise<void> {
  const [as] = await discover(l);
  const to = new URL(as.authorization_endpoint ?? "");
  if (to.protocol !== new URL(l.issuer).protocol) throw new Error("the issuer's page for logins has no address that can be trusted");
  const pending: Pending = {
    state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), verifier: oauth.generateRandomCodeVerifier(), view: location.hash,
  };
  sessionStorage.setItem(PENDING, JSON.stringify(pending));
  for (const [name, value] of Object.entries({
    client_id: l.client_id, redirect_uri: back, response_type: "code", scope: "openid profile email", state: pending.state, nonce: pending.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier), code_challenge_method: "S256",
  })) to.searchParams.set(name, value);
  location.assign(to);
}

// returned says whether the browser comes from the issuer.
export const returned = () => login !== null && ["code", "error"].some((name) => new URLSearchParams(location.search).has(name));

// end finishes the login that the browser comes back from. What the issuer says is in the address, from where it is removed
// at once, and is good for one try.
export async function end(l: Login): Promise<void> {
  const answer = new URLSearchParams(location.search);
  const pending = JSON.parse(sessionStorage.getItem(PENDING) ?? "null") as Pending | null;
  sessionStorage.removeItem(PENDING);
  history.replaceState(null, "", location.pathname + (pending?.view ?? ""));
  if (!pending || answer.get("state") !== pending.state) throw new Error("it did not begin in this tab");
  const [as, options] = await discover(l);
  const client = { client_id: l.client_id, [oauth.clockTolerance]: 60 };
  const code = oauth.validateAuthResponse(as, client, answer, pending.state);
  const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), code, back, pending.verifier, options);
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: pending.nonce, requireIdToken: true });
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  if (!tokens.id_token || !claims) throw new Error("the issuer gave no ID token");
  const name = [claims.preferred_username, claims.email, claims.name, claims.sub].find((n) => typeof n === "string" && n !== "");
  setKey(tokens.id_token);
  sessionStorage.setItem(WHO, JSON.stringify({ name: String(name), until: claims.exp } satisfies Who));
}

// why says in words why a login failed.
export function why(e: unknown): string {
  if (e instanceof oauth.AuthorizationResponseError || e instanceof oauth.ResponseBodyError) return e.error_description ?? e.error;
  if (e instanceof TypeError) return "the issuer could not be reached, or does not let this page ask it (CORS)";
  return e instanceof Error ? e.message : String(e);
}
