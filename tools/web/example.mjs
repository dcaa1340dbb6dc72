// submit opens the page of examples/browser on an origin, fills one of its forms
// in, sends it to a gateway {url}, with a key if there is one, and returns what the
// page shows.
export async function submit(browser, origin, { url }, id, values, key = "") {
  const page = await browser.newPage();
  try {
    await page.goto(`${origin}/index.html?gateway=${encodeURIComponent(url)}`);
    await page.fill("#key", key);
    for (const [name, value] of Object.entries(values)) await page.fill(`#${id} [name=${name}]`, value);
    await page.click(`#${id} button`);
    const output = page.locator(`#${id} output:is(.done, .problem)`);
    return { text: await output.textContent(), kind: await output.getAttribute("class") };
  } finally {
    await page.close();
  }
}
