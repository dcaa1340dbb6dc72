import * as oauth from "oauth4webapi";

// Login at an OpenID Connect issuer by the authorization code flow with PKCE (RFC 7636). The page is a public client: it
// has no secret. What it gets is an ID token, which the gateway takes like a key: {url, key: token}. The gateway verifies
// it by the issuer's keys.
//
// An issuer is {issuer, client_id, page}: its URL, what the page is called there, and the page that it sends the browser
// back to, without query. The issuer must know that address, and must let the page's origin ask it (CORS).

const PENDING = "login under way"; // for this tab, until the browser is back

async function discover(issuer) {
  const url = new URL(issuer);
  const options = { [oauth.allowInsecureRequests]: url.protocol === "http:" }; // only for an issuer of your own at localhost
  return { as: await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, options)), options };
}

// logIn leaves the page for the issuer's.
export async function logIn({ issuer, client_id, page }) {
  const { as } = await discover(issuer);
  const pending = { issuer, client_id, page, state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce(), verifier: oauth.generateRandomCodeVerifier() };
  sessionStorage.setItem(PENDING, JSON.stringify(pending));
  const to = new URL(as.authorization_endpoint);
  for (const [name, value] of Object.entries({
    client_id, redirect_uri: page, response_type: "code", scope: "openid profile email", state: pending.state, nonce: pending.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(pending.verifier), code_challenge_method: "S256",
  })) to.searchParams.set(name, value);
  location.assign(to);
}

// loggedIn returns {token, claims} when the browser has come back from the issuer, and otherwise null. It throws if the
// issuer refused, or if the answer is not that of a login which began in this tab. Call it once, when the page loads.
//
// Keep the token in a variable: it is as good as a key until claims.exp (seconds since 1970). Then log in again, which
// takes no password while the issuer remembers the browser.
export async function loggedIn() {
  const answer = new URLSearchParams(location.search);
  const pending = JSON.parse(sessionStorage.getItem(PENDING));
  if (!answer.has("state")) return null;
  sessionStorage.removeItem(PENDING); // it is good for one try
  history.replaceState(null, "", location.pathname); // no code is left in the address
  if (answer.get("state") !== pending?.state) throw new Error("this login did not begin in this tab");
  const { as, options } = await discover(pending.issuer);
  const client = { client_id: pending.client_id, [oauth.clockTolerance]: 60 };
  const code = oauth.validateAuthResponse(as, client, answer, pending.state);
  const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), code, pending.page, pending.verifier, options);
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: pending.nonce, requireIdToken: true });
  return { token: tokens.id_token, claims: oauth.getValidatedIdTokenClaims(tokens) };
}
