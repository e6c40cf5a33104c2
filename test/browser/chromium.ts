/** A real browser for the tests of the console: headless Chromium from the npm package, with the libraries it ships. */
import chromium from '@sparticuz/chromium';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';

/** Starts Chromium and closes it at teardown. */
export async function openBrowser(t: { teardown(work: () => unknown): unknown }): Promise<Browser> {
  const browser = await playwright.launch({
    executablePath: await chromium.executablePath(),
    // Root, as in containers, cannot use the sandbox.
    args: ['--no-sandbox', '--disable-gpu', '--no-zygote'],
  });
  t.teardown(() => browser.close());
  return browser;
}

/** A page that collects what must never happen: dialogs, script errors, violations of the content security policy. */
export async function openPage(browser: Browser, options: object = {}): Promise<{ page: Page; mishaps: string[] }> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const mishaps: string[] = [];
  page.on('dialog', (dialog) => {
    mishaps.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('pageerror', (error) => mishaps.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy/i.test(message.text())) mishaps.push(message.text());
  });
  return { page, mishaps };
}
