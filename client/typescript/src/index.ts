import { Client } from "./client.js";
import type { Options } from "./options.js";

export { defaults, type Options } from "./options.js";

/**
 * Returns a fetch that gets along with a platform that lives in several regions. It takes the place of the global one, by itself or in a
 * generated client:
 *
 * - What one call has seen or written, later calls with the same key see too, at whatever region they come in: the consistency tokens of
 *   answers are kept and sent. With more than eight calls at once, those of the newest eight answers.
 * - A mutation has an idempotency key, of its own or the caller's, and each repetition has the same.
 * - A call is repeated only if that does no harm: it reads, or it has a key. It is not repeated when the platform says that its outcome is
 *   not known or that a repetition is not safe. Between attempts it waits as it is told, and a random time more.
 * - A call that belongs to another region goes there, once; the next ones go there at once. The key of a caller is sent to the endpoints of
 *   the options, to hosts below theirs, and nowhere else: see {@link Options.endpoints}.
 *
 * Messages of gRPC-Web and of Connect's streams carry tokens and are never repeated. It fails if the options name no endpoint, or hold a
 * value that cannot be.
 */
export function createFetch(options: Options): typeof globalThis.fetch {
  const client = new Client(options);
  return (input, init) => client.fetch(input, init);
}
