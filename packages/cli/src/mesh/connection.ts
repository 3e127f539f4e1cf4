import type { DescService } from "@bufbuild/protobuf";
import { keepByteOrderMarks } from "@chowhound/shared/runtime/keep-byte-order-marks";
import {
  type Client,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

/** One process, or one gateway, that calls go to. */
export interface ConnectionOptions {
  /** Such as "http://127.0.0.1:24690": gRPC over HTTP/2, with TLS where it is https. */
  url: string;
  /** The name on the certificate, where the URL has an IP address instead. */
  serverName?: string;
  /** Sent as `authorization: Bearer <key>`. */
  key?: string;
  /** Where the address came from, for errors. */
  from: string;
  /** Ends the calls in flight. */
  signal: AbortSignal;
  /** Where a call says nothing of its own; 0: no limit. */
  callTimeoutMs?: number;
}

/** Makes clients of the services behind one address. */
export interface Connection {
  client<S extends DescService>(service: S): Client<S>;
}

/** Longer than any answer should take. Streams take as long as they take. */
const CALL_TIMEOUT_MS = 30_000;

const targets = new WeakMap<ConnectError, ConnectionOptions>();

/** Where the call went that failed with this error. */
export function targetOf(error: ConnectError): ConnectionOptions | undefined {
  return targets.get(error);
}

/** Connects with the first call; idle, it keeps no process from ending. Every call rejects with a ConnectError that `targetOf` knows. */
export function openConnection(options: ConnectionOptions): Connection {
  const { url, serverName, key, signal, callTimeoutMs = CALL_TIMEOUT_MS } = options;
  const sessionOptions = serverName === undefined ? {} : { servername: serverName };
  const sessionManager = new Http2SessionManager(url, { pingIntervalMs: 20_000 }, sessionOptions);
  keepByteOrderMarks();
  const transport = createGrpcTransport({
    baseUrl: url,
    sessionManager,
    interceptors: [noteTarget(options), authorize(key), endWith(signal)],
  });
  const bounded: Transport = {
    unary: (method, signal, timeoutMs = callTimeoutMs, ...call) =>
      transport.unary(method, signal, timeoutMs, ...call),
    stream: (...call) => transport.stream(...call),
  };
  return { client: (service) => createClient(service, bounded) };
}

function authorize(key: string | undefined): Interceptor {
  return (next) => (request) => {
    if (key !== undefined) request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
}

function endWith(signal: AbortSignal): Interceptor {
  return (next) => (request) => next({ ...request, signal: AbortSignal.any([request.signal, signal]) });
}

function noteTarget(options: ConnectionOptions): Interceptor {
  const noted = (reason: unknown): ConnectError => {
    const error = ConnectError.from(reason);
    targets.set(error, options);
    return error;
  };
  async function* noting<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
    try {
      yield* messages;
    } catch (error) {
      throw noted(error);
    }
  }
  return (next) => async (request) => {
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: noting(response.message) } : response;
    } catch (error) {
      throw noted(error);
    }
  };
}
