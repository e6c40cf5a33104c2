/** A real browser for the tests of the console: headless Chromium from the npm package, with the libraries it ships. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import chromium from '@sparticuz/chromium';
import { type Browser, type Page, chromium as playwright } from 'playwright-core';

/** Starts Chromium and closes it at teardown. */
export async function openBrowser(t: { teardown(work: () => unknown): unknown }): Promise<Browser> {
  const browser = await playwright.launch({
    executablePath: await chromium.executablePath(),
    // Root, as in containers, cannot use the sandbox.
    args: ['--no-sandbox', '--disable-gpu', '--no-zygote'],
    // A bare Debian has neither libnss3 nor a font.
    env: { LD_LIBRARY_PATH: unpackLibraries(), FONTCONFIG_PATH: path.join(os.tmpdir(), 'fonts'), HOME: os.tmpdir() },
  });
  t.teardown(() => browser.close());
  return browser;
}

/** The package unpacks its libraries on AWS only. The rename makes two test runs at once harmless. */
function unpackLibraries(): string {
  const home = path.join(os.tmpdir(), 'tds-test-chromium');
  if (!existsSync(home)) {
    const archive = new URL('../bin/al2023.tar.br', import.meta.resolve('@sparticuz/chromium'));
    const unpacked = mkdtempSync(`${home}-`);
    execFileSync('tar', ['-x', '-C', unpacked], { input: brotliDecompressSync(readFileSync(fileURLToPath(archive))) });
    if (!existsSync(home)) renameSync(unpacked, home);
  }
  return path.join(home, 'lib');
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
