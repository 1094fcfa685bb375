// The front page: what this region sees of the others, where an operation's fields may be, how it is called, and where a call would go.
import { answerOf, content, fields, load, operations } from './spec.js';
import { request, samples } from './samples.js';

const at = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const words = { here: 'this region', reachable: 'reachable', unreachable: 'does not answer', unknown: 'not known here' };

async function showRegions() {
  let seen;
  try {
    seen = await (await fetch('/docs/regions.json')).json();
  } catch {
    at('seen').textContent = 'This region does not answer now, so the state of the others is not known.';
    return;
  }
  for (const region of seen.regions) {
    const took = region.round_trip_milliseconds;
    const trip = took === undefined ? '' : took < 1 ? ', under 1 ms' : `, ${Math.round(took)} ms`;
    for (const shown of document.querySelectorAll(`[data-region="${CSS.escape(region.id)}"]`)) {
      shown.dataset.state = region.state;
      const word = shown.querySelector('.word');
      if (word) word.textContent = words[region.state] + trip;
    }
  }
  at('seen').textContent = `As ${seen.seen_from} saw them at ${new Date(seen.seen_at).toLocaleTimeString()}.`;
}

const routes = {
  home: 'Answered at the tenant’s home, wherever the call comes in.',
  nearest: 'Answered by the nearest region that holds a copy of what may be there, or by the home.',
  any: 'Answered in the region that the call comes in at.',
  control: 'Answered in the control region; it takes an operator’s key.',
};

let doc;
let entries = [];
let language = 'curl';

function current() {
  return entries[at('operation').selectedIndex];
}

const ways = { sent: ['→', 'in the request'], answered: ['←', 'in the answer'], both: ['↔', 'in both'] };

function chip(field, where) {
  const item = element('li', { className: `field ${field.class.toLowerCase()}` });
  const [sign, words] = ways[where];
  const arrow = element('span', { className: 'way', textContent: sign });
  arrow.setAttribute('aria-hidden', 'true');
  item.append(arrow, element('code', { textContent: field.name }), element('span', { className: 'heard', textContent: `, ${words}` }));
  if (field.class === 'SECRET') item.append(element('span', { className: 'class secret', textContent: 'SECRET' }));
  return item;
}

function showZones({ operation }) {
  const asked = fields(doc, content(doc, operation.requestBody).schema).filter((f) => !f.readOnly);
  const told = fields(doc, content(doc, answerOf(operation)).schema);
  const all = new Map();
  for (const [list, way] of [[asked, 'sent'], [told, 'answered']]) {
    for (const field of list) {
      const key = `${field.leaves} ${field.class} ${field.name}`;
      const known = all.get(key);
      if (known && known.way !== way) known.way = 'both';
      else if (!known) all.set(key, { ...field, way });
    }
  }
  for (const zone of ['anywhere', 'jurisdiction', 'never']) {
    const list = [...all.values()].filter((f) => f.leaves === zone);
    at(zone).replaceChildren(...(list.length ? list.map((f) => chip(f, f.way)) : [element('li', { className: 'none', textContent: 'none of this operation’s fields' })]));
  }
}

function showFacts({ operation }) {
  const facts = [routes[operation['x-route']] ?? ''];
  if (operation['x-idempotency'] === 'keyed') facts.push('It takes an Idempotency-Key, so that repeating it does nothing more.');
  const cost = operation['x-cost'];
  if (cost) facts.push(`It costs ${cost} unit${cost === 1 ? '' : 's'} of the rate limit.`);
  at('facts').textContent = facts.filter(Boolean).join(' ');
}

function showSample() {
  const entry = current();
  if (!entry) return;
  at('sample-code').textContent = samples[language](request(doc, entry, at('explorer').dataset.endpoint));
}

function showOperation() {
  const entry = current();
  if (!entry) return;
  showFacts(entry);
  showZones(entry);
  showSample();
  at('try').href = `/docs/reference?version=${encodeURIComponent(at('version').value)}#/${encodeURIComponent(entry.operation.tags?.[0] ?? 'default')}/${encodeURIComponent(entry.id ?? '')}`;
}

async function showVersion() {
  doc = await load(at('version').value);
  at('foreign').textContent = doc['x-foreign-tenant'] ?? '';
  entries = operations(doc);
  const groups = new Map();
  entries.sort((a, b) => (a.operation.tags?.[0] ?? '').localeCompare(b.operation.tags?.[0] ?? ''));
  for (const entry of entries) {
    const tag = entry.operation.tags?.[0] ?? 'Operations';
    if (!groups.has(tag)) groups.set(tag, element('optgroup', { label: tag }));
    groups.get(tag).append(element('option', { value: entry.id, textContent: `${entry.method} ${entry.path}  ${entry.operation.summary ?? ''}` }));
  }
  at('operation').replaceChildren(...groups.values());
  // The first to be shown is one with personal data in it: it says the most.
  const telling = entries.findIndex((e) => e.operation['x-data-class'] === 'PII' && e.method === 'POST');
  at('operation').selectedIndex = Math.max(0, telling);
  showOperation();
  performance.mark('interactive');
}

function choose(tab) {
  for (const other of document.querySelectorAll('[role=tab]')) {
    const chosen = other === tab;
    other.setAttribute('aria-selected', String(chosen));
    other.tabIndex = chosen ? 0 : -1;
  }
  at('sample').setAttribute('aria-labelledby', tab.id);
  language = tab.dataset.language;
  showSample();
}

function listenToTabs() {
  const tabs = [...document.querySelectorAll('[role=tab]')];
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener('click', () => choose(tab));
    tab.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -i, End: tabs.length - 1 - i }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = tabs[(i + step + tabs.length) % tabs.length];
      next.focus();
      choose(next);
    });
  }
  at('copy').addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(at('sample-code').textContent);
      at('copy').textContent = 'Copied';
    } catch {
      getSelection().selectAllChildren(at('sample-code'));
      at('copy').textContent = 'Selected';
    }
    setTimeout(() => { at('copy').textContent = 'Copy'; }, 2000);
  });
}

/** explain asks a region; a tenant whose calls it may not take is asked for at its home. */
async function explain(endpoint, key, query) {
  const answer = await fetch(`${endpoint}/v1/route:explain?${query}`, { headers: { Authorization: `Bearer ${key}` } });
  const body = await answer.json();
  const info = body.details?.find((d) => d.reason);
  return { ok: answer.ok, body, reason: info?.reason, home: info?.metadata?.home_endpoint };
}

const actions = {
  ROUTE_ACTION_LOCAL: (b) => `Answered in ${b.edge}, where it comes in.`,
  ROUTE_ACTION_FORWARD: (b) => `Comes in at ${b.edge}, and is forwarded to ${b.region}, which answers.`,
  ROUTE_ACTION_REDIRECT: (b) => `Refused by ${b.edge} with ${b.reason}: send it to ${b.endpoint} (${b.region}).`,
  ROUTE_ACTION_REFUSE: (b) => `Refused by ${b.edge} with ${b.reason}.`,
};

function showExplanation(b, note) {
  const verdict = element('p', { className: 'verdict', textContent: (actions[b.action] ?? (() => ''))(b) });
  const home = element('p', { textContent: `Tenant ${b.tenant} is at home in ${b.home}, jurisdiction ${b.jurisdiction}; standby ${b.standby}; ${policyWords(b)}.` });
  const rules = element('ol', { className: 'rules' }, ...(b.rules ?? []).map((r) => {
    const item = element('li', { className: r.passed ? 'passed' : 'failed' });
    item.append(element('strong', { textContent: r.rule }), ` ${r.passed ? 'passed' : 'failed'}: ${r.detail}`);
    return item;
  }));
  at('explanation').replaceChildren(...(note ? [element('p', { className: 'note', textContent: note })] : []), verdict, home, rules);
}

function policyWords(b) {
  const transit = b.transit === 'TRANSIT_STRICT' ? 'no foreign region may relay its calls' : 'foreign regions may relay its calls';
  const projections = { PROJECTIONS_EVERYWHERE: 'projections may be everywhere', PROJECTIONS_JURISDICTION: 'projections stay in the jurisdiction', PROJECTIONS_NONE: 'there are no projections' }[b.projections];
  return [transit, projections].filter(Boolean).join(', ');
}

async function explainRoute(event) {
  event.preventDefault();
  const entry = current();
  const query = new URLSearchParams({ method: (entry.operation['x-procedure'] ?? entry.id).replace(/^\//, '') });
  if (at('from').value) query.set('from', at('from').value);
  if (at('strict').checked) query.set('strict', 'true');
  const key = at('key').value.trim();
  try {
    let told = await explain('', key, query);
    let note = '';
    if (told.reason === 'WRONG_REGION' && told.home) {
      note = `This region may not even take the question: it answered 421 WRONG_REGION and named ${told.home}, which was asked instead.`;
      if (!query.has('from') && at('explorer').dataset.place) query.set('from', document.querySelector('tr.here').dataset.region);
      told = await explain(told.home, key, query);
    }
    if (told.ok) showExplanation(told.body, note);
    else at('explanation').replaceChildren(element('p', { className: 'verdict', textContent: `${told.reason ?? 'Refused'}: ${told.body.message}` }));
  } catch {
    at('explanation').replaceChildren(element('p', { className: 'verdict', textContent: 'The region did not answer.' }));
  }
}

showRegions();
setInterval(() => { if (!document.hidden) showRegions(); }, 10000);
if (at('explorer')) {
  const asked = new URLSearchParams(location.search).get('version');
  if ([...at('version').options].some((o) => o.value === asked)) at('version').value = asked;
  at('version').addEventListener('change', showVersion);
  at('operation').addEventListener('change', showOperation);
  at('route').addEventListener('submit', explainRoute);
  listenToTabs();
  showVersion().catch((error) => { at('facts').textContent = String(error.message); });
}
