// Calls a platform with the types that openapi-typescript makes of the document: creates a user, reads, changes, lists and deletes it, and
// reads errors. What is written here compiles only if the document has it.
import type { components, operations } from './schema';

declare const process: { env: Record<string, string | undefined>; exitCode?: number };

type Operations = { [Id in keyof operations]: operations[Id] };
type Json<T> = T extends { content: { 'application/json': infer Body } } ? Body : never;
type Body<Id extends keyof Operations> = Operations[Id] extends { requestBody?: infer Request } ? Json<NonNullable<Request>> : never;
type Query<Id extends keyof Operations> = NonNullable<Operations[Id]['parameters']['query']>;
type Headers<Id extends keyof Operations> = NonNullable<Operations[Id]['parameters']['header']>;
type Answer<Id extends keyof Operations, Status extends keyof Operations[Id]['responses']> = Json<Operations[Id]['responses'][Status]>;

const url = process.env.DOMICILE_URL ?? '';
const key = process.env.DOMICILE_KEY ?? '';

async function call<Id extends keyof Operations, Status extends keyof Operations[Id]['responses']>(
  operation: Id, status: Status, method: string, path: string,
  request: { body?: Body<Id>; query?: Query<Id>; headers?: Headers<Id> } = {},
): Promise<Answer<Id, Status>> {
  const headers: Record<string, string> = { Authorization: `Bearer ${key}` };
  for (const [name, value] of Object.entries(request.headers ?? {})) headers[name] = String(value);
  if (request.body !== undefined) headers['Content-Type'] = 'application/json';
  const query = new URLSearchParams(Object.entries(request.query ?? {}).map(([name, value]): [string, string] => [name, String(value)])).toString();
  const init: RequestInit = { method, headers };
  if (request.body !== undefined) init.body = JSON.stringify(request.body);
  const answer = await fetch(url + path + (query ? `?${query}` : ''), init);
  const text = await answer.text();
  if (answer.status !== Number(status)) throw new Error(`${String(operation)}: ${answer.status} instead of ${String(status)}: ${text}`);
  return JSON.parse(text) as Answer<Id, Status>;
}

function hold(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

const reason = (status: components['schemas']['google.rpc.Status']): string | undefined => status.details[0]?.reason;

async function main(): Promise<void> {
  const made = await call('CreateUser', 200, 'POST', '/v1/users', {
    body: { givenName: 'Ada', familyName: 'Lovelace', email: 'tsclient@example.com', locale: 'en-GB', role: 'ROLE_ADMIN' },
    headers: { 'Idempotency-Key': 'tsclient' },
  });
  const id = made.id ?? '';
  hold(id !== '' && made.role === 'ROLE_ADMIN', 'the created user is another');
  const etag = made.etag ?? '';
  const changed = await call('UpdateUser', 200, 'PATCH', `/v1/users/${id}`, { body: { locale: 'fr-FR', etag }, query: { updateMask: 'locale' } });
  hold(changed.locale === 'fr-FR' && changed.givenName === 'Ada', 'the change is not there');
  const stale = await call('UpdateUser', 412, 'PATCH', `/v1/users/${id}`, { body: { locale: 'de-DE', etag } });
  hold(reason(stale) === 'ETAG_MISMATCH', 'an old etag was taken');
  const read = await call('GetUser', 200, 'GET', `/v1/users/${id}`);
  hold(read.locale === 'fr-FR', 'the user read is another');
  const page = await call('ListUsers', 200, 'GET', '/v1/users', { query: { pageSize: 100 } });
  hold(page.users?.some((user) => user.id === id) ?? false, 'the user is not in the list');
  await call('DeleteUser', 200, 'DELETE', `/v1/users/${id}`);
  hold(reason(await call('GetUser', 404, 'GET', `/v1/users/${id}`)) === 'NOT_FOUND', 'the deleted user is there');
  hold(reason(await call('ListUsers', 400, 'GET', '/v1/users', { query: { pageSize: 5000 } })) === 'INVALID_ARGUMENT', 'a page may be of any size');
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
