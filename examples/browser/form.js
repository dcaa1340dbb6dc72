import { post } from "./gateway.js";

// callForm sends each Blob (a File is one) as a frame, with flowgraph vars, and
// returns the frames of the reply as Blobs. Nothing is turned into text on the
// way, so samples come back byte for byte. signal, of an AbortController, cancels
// the call.
//
// The browser writes the Content-Type itself, because it alone knows the form's
// boundary: do not set it.
export async function callForm(gateway, service, blobs, { vars = {}, timeout = "25s", signal } = {}) {
  const form = new FormData();
  for (const blob of blobs) form.append("frame", blob);
  form.append("vars", JSON.stringify(vars));
  const response = await post(gateway, service, { query: { timeout }, headers: { Accept: "multipart/form-data" }, body: form, signal });
  return (await response.formData()).getAll("frame");
}
