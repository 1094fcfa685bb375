// Looks at a running platform's portal with Chromium, as portal_test.go tells it to by one JSON object on stdin, and answers with one on
// stdout: what is wrong, in words, and what was measured.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const require = createRequire(path.join(process.env.DOMICILE_DOCS_MODULES, 'package.json'));
const { chromium } = require('playwright-core');
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const task = JSON.parse(fs.readFileSync(0, 'utf8'));
const problems = [];
const measured = {};
const samples = {};
const wrong = (where, what) => problems.push(`${where}: ${what}`);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

const origins = new Set(task.origins);

/** open loads a page and watches what it says and asks for. */
async function open(name, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  const seen = { transferred: 0, requests: [] };
  const cdp = await context.newCDPSession(page);
  await cdp.send('Network.enable');
  cdp.on('Network.loadingFinished', (e) => { seen.transferred += e.encodedDataLength; });
  page.on('console', (m) => { if (['error', 'warning'].includes(m.type()) && !options.quiet) wrong(name, `the console says: ${m.text()}`); });
  page.on('pageerror', (e) => wrong(name, `a script failed: ${e.message}`));
  page.on('request', (r) => {
    seen.requests.push(r);
    const u = new URL(r.url());
    if (u.protocol !== 'data:' && !origins.has(u.origin)) wrong(name, `it asks ${u.origin}, which is none of the platform's`);
  });
  page.on('websocket', (w) => wrong(name, `it opens a socket to ${w.url()}`));
  const answer = await page.goto(url, { waitUntil: 'load' });
  if (answer.status() !== (options.status ?? 200)) wrong(name, `status ${answer.status()}`);
  return { page, seen, done: () => context.close() };
}

async function judge(name, page) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await globalThis.axe.run(document, { resultTypes: ['violations'] })).violations
    .map((v) => ({ impact: v.impact, id: v.id, help: v.help, nodes: v.nodes.slice(0, 4).map((n) => `${n.target.join(' ')} ${n.any[0]?.message ?? ''}`) })));
  for (const v of found) {
    if (['serious', 'critical'].includes(v.impact)) wrong(name, `axe, ${v.impact}, ${v.id}: ${v.help}: ${v.nodes.join(' | ')}`);
  }
}

const ready = {
  front: (page) => page.waitForFunction(() => document.getElementById('sample-code')?.textContent && document.querySelector('tr.here[data-state=here]')),
  reference: (page) => page.waitForSelector('.opblock'),
  operation: async (page) => {
    await page.waitForSelector('.opblock.is-open .execute');
    await page.evaluate(() => document.querySelector('.opblock.is-open').scrollIntoView());
  },
};

const pages = [
  ['front', '/docs', ready.front],
  ['reference', '/docs/reference', ready.reference],
  ['operation', '/docs/reference#/Profile/CreateUser', ready.operation],
  ['connect', '/docs/reference?protocol=connect', ready.reference],
  ['guides', '/docs/guides'],
  ['guide', '/docs/guides/consistency'],
  ['reasons', '/docs/guides/reasons'],
];

for (const scheme of ['light', 'dark']) {
  for (const [name, at, wait] of pages) {
    const where = `${name}, ${scheme}`;
    const { page, seen, done } = await open(where, task.region + at, { colorScheme: scheme });
    try {
      await wait?.(page);
      await page.waitForTimeout(300); // What is drawn last is named then.
      await judge(where, page);
      await page.screenshot({ path: path.join(task.shots, `${name}-${scheme}.png`), fullPage: !['reference', 'operation', 'connect', 'reasons'].includes(name) });
      if (scheme === 'light') measured[`${name}_transferred_bytes`] = seen.transferred;
    } catch (error) {
      wrong(where, error.message);
    }
    await done();
  }
}

async function step(name, run) {
  try {
    await run(name);
  } catch (error) {
    wrong(name, error.message);
  }
}

await step('narrow', async (name) => {
  for (const [page_, at, wait] of pages.slice(0, 1).concat(pages.slice(5, 6))) {
    const { page, done } = await open(name, task.region + at, { viewport: { width: 390, height: 844 } });
    await wait?.(page);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wider > 0) wrong(name, `${page_} is ${wider} pixels wider than the screen`);
    await page.screenshot({ path: path.join(task.shots, `${page_}-narrow.png`), fullPage: true });
    await done();
  }
});

await step('speed', async (name) => {
  const times = [];
  for (let i = 0; i < 5; i++) {
    const { page, done } = await open(name, `${task.region}/docs`);
    await ready.front(page);
    times.push(await page.evaluate(() => performance.getEntriesByName('interactive')[0].startTime));
    await done();
  }
  measured.front_interactive_milliseconds = times.sort((a, b) => a - b)[2];
});

await step('global name', async (name) => {
  const { page, done } = await open(name, `${task.global}/docs`);
  await page.waitForFunction(() => document.getElementById('sample-code')?.textContent);
  if (!(await page.textContent('.where')).includes('Global name')) wrong(name, 'it does not say what it is');
  await done();
});

await step('missing page', async (name) => {
  const { page, done } = await open(name, `${task.region}/docs/nothing`, { status: 404, quiet: true });
  if (!(await page.textContent('h1')).includes('Nothing here')) wrong(name, 'there is no page that says so');
  await done();
});

await step('zones', async (name) => {
  const { page, done } = await open(name, `${task.region}/docs`);
  await ready.front(page);
  await page.selectOption('#operation', 'CreateUser');
  for (const [zone, field] of Object.entries(task.zones)) {
    const shown = await page.locator(`#${zone} > li code`).allTextContents();
    if (!shown.includes(field)) wrong(name, `${field} is not drawn in the zone ${zone}, which has ${shown.join(', ')}`);
  }
  for (const language of ['curl', 'go', 'typescript', 'python']) {
    await page.click(`[data-language=${language}]`);
    samples[language] = await page.textContent('#sample-code');
  }
  await done();
});

await step('keyboard', async (name) => {
  const { page, done } = await open(name, `${task.region}/docs`);
  await ready.front(page);
  await page.keyboard.press('Tab');
  if (await page.evaluate(() => document.activeElement.className) !== 'skip') wrong(name, 'the first stop is not the link to the content');
  await page.keyboard.press('Enter');
  if (await page.evaluate(() => document.activeElement.id) !== 'content') wrong(name, 'the link does not lead to the content');
  await page.focus('#tab-curl');
  await page.keyboard.press('ArrowRight');
  if (!(await page.textContent('#sample-code')).includes('package main')) wrong(name, 'the arrow does not move between the languages');
  await page.keyboard.press('End');
  if (!(await page.textContent('#sample-code')).includes('urllib')) wrong(name, 'End does not go to the last language');
  await page.focus('#theme');
  await page.keyboard.press('Space');
  if (await page.evaluate(() => document.documentElement.dataset.theme) !== 'dark') wrong(name, 'the switch does not make it dark');
  await page.reload();
  if (await page.evaluate(() => document.documentElement.dataset.theme) !== 'dark') wrong(name, 'the choice is forgotten');
  await done();
});

await step('route', async (name) => {
  const { page, done } = await open(name, `${task.region}/docs`);
  await ready.front(page);
  await page.selectOption('#operation', 'GetUser');
  await page.fill('#key', task.key);
  await page.selectOption('#from', task.abroad_id);
  await page.keyboard.press('Enter');
  await page.click('#route button');
  await page.waitForSelector('.verdict');
  const verdict = await page.textContent('#explanation');
  if (!/forwarded to eu-central-1/.test(verdict) || !/transit passed/.test(verdict)) wrong(name, `it says: ${verdict}`);
  await page.locator('section[aria-labelledby=route-title]').screenshot({ path: path.join(task.shots, 'explanation.png') });
  await done();
});

await step('route of a strict tenant', async (name) => {
  const { page, done } = await open(name, `${task.abroad}/docs`, { quiet: true }); // The console tells of every 421.
  await ready.front(page);
  await page.fill('#key', task.strict_key);
  await page.click('#route button');
  await page.waitForSelector('.verdict');
  const said = await page.textContent('#explanation');
  if (!/421 WRONG_REGION/.test(said) || !/Refused by us-east-1 with WRONG_REGION/.test(said)) wrong(name, `it says: ${said}`);
  await done();
});

await step('try it', async (name) => {
  const { page, seen, done } = await open(name, `${task.region}/docs/reference#/Profile/ListUsers`);
  await page.waitForSelector('.opblock.is-open .execute');
  await page.click('.btn.authorize');
  const scheme = page.locator('.auth-container', { hasText: 'tenantKey' });
  await scheme.locator('input').fill(task.key);
  await page.waitForTimeout(200);
  await judge(name, page);
  await scheme.locator('.authorize').click();
  await page.locator('.btn-done').first().click();
  await page.click('.opblock.is-open .execute');
  await page.waitForSelector('.live-responses-table .response .response-col_status');
  const status = await page.textContent('.live-responses-table .response .response-col_status');
  if (status.trim() !== '200') wrong(name, `the call is answered ${status}`);
  const call = seen.requests.find((r) => new URL(r.url()).pathname === '/v1/users');
  if (!call) wrong(name, 'no call was made');
  else if ((await call.allHeaders()).authorization !== `Bearer ${task.key}`) wrong(name, 'the call has no key');
  else if (!(await (await call.response()).text()).includes('users')) wrong(name, 'the answer has no users');
  await page.waitForTimeout(300);
  await judge(name, page);
  await page.evaluate(() => document.querySelector('.live-responses-table').scrollIntoView({ block: 'center' }));
  await page.screenshot({ path: path.join(task.shots, 'try-it.png') });
  await done();
});

await browser.close();
process.stdout.write(JSON.stringify({ problems, measured, samples }));
