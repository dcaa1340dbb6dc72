// Debian's Chromium without a window, which asks nothing of the world by itself.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const flags = [
  "--no-sandbox", // Chromium's own needs what containers and root do not have
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking", // nothing but the test's own pages is asked for
  "--disable-component-update",
  "--disable-sync",
];

// launch starts it with a profile of its own, which end removes.
export async function launch() {
  const profile = await mkdtemp(join(tmpdir(), "chromium-"));
  const browser = await chromium.launchPersistentContext(profile, { executablePath: "/usr/bin/chromium", headless: true, args: flags });
  browser.setDefaultTimeout(20_000);
  browser.end = async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  };
  return browser;
}
