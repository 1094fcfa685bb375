/** A request's body. */
export interface Body {
  /** Whether it can be sent more than once. */
  readonly again: boolean;
  /** What is sent. */
  readonly data: BodyInit | null;
  /** A request that has the body in it, if that cannot be taken out without making it a stream, which browsers may be unable to send. */
  readonly whole?: Request;
  /** The caller gave a stream, so the runtime can send one. */
  readonly streamed?: boolean;
}

/**
 * Returns a request's body so that it can be sent again, which takes a stream into memory up to a limit. The request was made of init; its
 * body is used up.
 */
export async function repeatable(request: Request, init: RequestInit | undefined, limit: number, signal: AbortSignal): Promise<Body> {
  if (init?.body instanceof Blob) {
    return { again: true, data: init.body }; // It cannot change, and need not be read.
  }
  if (request.body === null) {
    return { again: true, data: null };
  }
  // Some browsers have no streams here; whatever they have can be read whole.
  if (request.body === undefined || isKnown(init?.body)) {
    const data = await request.arrayBuffer();
    return { again: true, data: data.byteLength > 0 ? data : null };
  }
  const whole = request.clone();
  const data = await readUpTo(request.body, limit, signal).catch((error: unknown) => {
    cancel(whole.body);
    throw error;
  });
  if (data === undefined) {
    return { again: false, data: whole.body, whole, streamed: init?.body !== null && init?.body !== undefined };
  }
  cancel(whole.body);
  return { again: true, data };
}

/** Returns a request's body for one time, as it comes. */
export async function once(request: Request, init: RequestInit | undefined): Promise<Body> {
  if (isKnown(init?.body)) {
    return { again: false, data: init.body };
  }
  if (request.body === undefined) {
    return { again: false, data: await request.arrayBuffer() };
  }
  return { again: false, data: request.body, whole: request, streamed: true };
}

function isKnown(body: BodyInit | null | undefined): body is Exclude<BodyInit, ReadableStream> {
  return body !== null && body !== undefined && (typeof body === "string" || !("getReader" in body || Symbol.asyncIterator in body));
}

/** Reads a stream to its end; undefined if it is longer than the limit. Then the rest of it is not read. */
async function readUpTo(
  stream: ReadableStream<Uint8Array>,
  limit: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const reader = stream.getReader();
  const stop = (): void => void reader.cancel(signal.reason).catch(ignore);
  signal.addEventListener("abort", stop);
  try {
    signal.throwIfAborted();
    const { chunks, size, ended } = await readChunks(reader, limit + 1);
    signal.throwIfAborted();
    if (!ended) {
      void reader.cancel().catch(ignore); // Not waited for: it ends with the other branch.
      return undefined;
    }
    return join(chunks, size);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/** Reads the beginning of a stream as text, and no more of it. */
export async function readText(stream: ReadableStream<Uint8Array>, limit: number): Promise<string> {
  const reader = stream.getReader();
  const { chunks, size } = await readChunks(reader, limit);
  void reader.cancel().catch(ignore); // The other branch of the stream may go on; it is not waited for.
  return new TextDecoder().decode(join(chunks, size).subarray(0, limit));
}

async function readChunks(reader: ReadableStreamDefaultReader<Uint8Array>, enough: number) {
  const chunks: Uint8Array[] = [];
  let size = 0;
  while (size < enough) {
    const { done, value } = await reader.read();
    if (done) {
      return { chunks, size, ended: true };
    }
    chunks.push(value);
    size += value.byteLength;
  }
  return { chunks, size, ended: false };
}

function join(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** Lets go of a stream that nobody reads. */
export function cancel(stream: ReadableStream | null): void {
  void stream?.cancel().catch(ignore);
}

function ignore(): void {
  // What cannot be let go of has ended.
}
