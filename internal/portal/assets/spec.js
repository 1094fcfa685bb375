// What the pages read out of an OpenAPI document.

const methods = ['get', 'post', 'put', 'patch', 'delete'];

/** load fetches the document of a version. */
export async function load(version) {
  const answer = await fetch(`/openapi/${encodeURIComponent(version)}.json`);
  if (!answer.ok) throw new Error(`the document of ${version} is not there (${answer.status})`);
  return answer.json();
}

/** resolve follows references; what stands beside a reference goes before what it leads to. */
export function resolve(doc, value) {
  for (let depth = 0; value && value.$ref && depth < 20; depth++) {
    const { $ref, ...beside } = value;
    const target = $ref.replace(/^#\//, '').split('/')
      .reduce((at, part) => at?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], doc);
    value = { ...target, ...beside };
  }
  return value ?? {};
}

/** operations lists the document's operations by their tags. */
export function operations(doc) {
  const all = [];
  for (const [path, item] of Object.entries(doc.paths ?? {})) {
    for (const method of methods) {
      const operation = item[method];
      if (operation) all.push({ id: operation.operationId, method: method.toUpperCase(), path, operation, parameters: [...(item.parameters ?? []), ...(operation.parameters ?? [])].map((p) => resolve(doc, p)) });
    }
  }
  return all;
}

/** content is the JSON schema and example of a body. */
export function content(doc, body) {
  const media = resolve(doc, body).content?.['application/json'] ?? {};
  const example = media.example ?? resolve(doc, Object.values(media.examples ?? {})[0]).value;
  return { schema: media.schema, example };
}

/** answerOf is the successful answer of an operation. */
export function answerOf(operation) {
  const status = Object.keys(operation.responses ?? {}).find((code) => code.startsWith('2'));
  return status ? operation.responses[status] : undefined;
}

/** fields lists the classified fields that a schema reaches, with their paths. */
export function fields(doc, schema, prefix = '', depth = 0, trail = []) {
  const out = [];
  if (!schema || depth > 6 || (schema.$ref && trail.includes(schema.$ref))) return out;
  const inner = schema.$ref ? [...trail, schema.$ref] : trail;
  const whole = resolve(doc, schema);
  for (const part of [...(whole.allOf ?? []), ...(whole.oneOf ?? []), ...(whole.anyOf ?? [])]) out.push(...fields(doc, part, prefix, depth + 1, inner));
  for (const [name, raw] of Object.entries(whole.properties ?? {})) {
    const property = resolve(doc, raw);
    const path = prefix + name;
    const below = property.type === 'array' || property.items
      ? fields(doc, property.items, `${path}[].`, depth + 1, inner)
      : fields(doc, raw, `${path}.`, depth + 1, inner);
    if (below.length > 0) out.push(...below);
    else if (property['x-data-class']) out.push({ name: path, class: property['x-data-class'], leaves: property['x-leaves-region'] ?? leavesOf(property['x-data-class']), readOnly: property.readOnly === true });
  }
  if (whole.items) out.push(...fields(doc, whole.items, `${prefix}[].`, depth + 1, inner));
  if (whole.additionalProperties?.$ref || whole.additionalProperties?.properties) out.push(...fields(doc, whole.additionalProperties, `${prefix}*.`, depth + 1, inner));
  return out;
}

function leavesOf(dataClass) {
  return { GLOBAL: 'anywhere', REGIONAL: 'jurisdiction' }[dataClass] ?? 'never';
}
