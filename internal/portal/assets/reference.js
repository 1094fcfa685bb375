// The reference: the vendored UI on the document of a version, without anything that it would ask others for.
const at = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);

function choose(select, value) {
  if ([...select.options].some((o) => o.value === value)) select.value = value;
}

choose(at('version'), asked.get('version'));
choose(at('protocol'), asked.get('protocol') === 'connect' ? '/connect.yaml' : '.json');

function reload() {
  const query = new URLSearchParams({ version: at('version').value });
  if (at('protocol').value !== '.json') query.set('protocol', 'connect');
  location.search = query.toString();
}
at('version').addEventListener('change', reload);
at('protocol').addEventListener('change', reload);

// The UI names neither its list of servers nor some of its switches for those who hear the page.
function name(root) {
  for (const select of root.querySelectorAll('select:not([aria-label])')) {
    const label = select.id === 'servers' ? 'Server' : select.closest('.content-type-wrapper, .content-type') ? 'Content type' : 'Choice';
    select.setAttribute('aria-label', label);
  }
  for (const field of root.querySelectorAll('input:not([aria-label]), textarea:not([aria-label])')) {
    if (field.labels?.length) continue;
    const row = field.closest('tr[data-param-name]');
    field.setAttribute('aria-label', row?.dataset.paramName ?? (field.closest('.auth-container') ? 'API key' : field.tagName === 'TEXTAREA' ? 'Request body' : 'Value'));
  }
  for (const block of root.querySelectorAll('pre:not([tabindex]), .model-box:not([tabindex]), .table-container:not([tabindex])')) {
    if (block.scrollWidth > block.clientWidth || block.scrollHeight > block.clientHeight) block.tabIndex = 0;
  }
  for (const close of root.querySelectorAll('.close-modal')) close.setAttribute('aria-label', 'Close');
  for (const button of root.querySelectorAll('.auth-btn-wrapper [aria-label]')) button.removeAttribute('aria-label'); // Its text says it.
  // A link in a button is one too many: the button opens the operation, and puts it into the address.
  for (const link of root.querySelectorAll('.opblock-summary-control a[href]')) link.removeAttribute('href');
  // There is one <main> in a page: the frame's.
  for (const inner of root.querySelectorAll('main')) inner.setAttribute('role', 'presentation');
}

// The UI draws in many small steps; what it has drawn is named once it rests.
let pending = 0;
new MutationObserver(() => {
  clearTimeout(pending);
  pending = setTimeout(() => name(at('reference')), 50);
}).observe(at('reference'), { childList: true, subtree: true });

window.addEventListener('DOMContentLoaded', () => {
  window.ui = window.SwaggerUIBundle({
    url: `/openapi/${encodeURIComponent(at('version').value)}${at('protocol').value}`,
    dom_id: '#reference',
    deepLinking: true,
    docExpansion: 'list',
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    showExtensions: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    queryConfigEnabled: false,
    persistAuthorization: false,
    onComplete: () => { at('loading').hidden = true; name(at('reference')); },
  });
});
