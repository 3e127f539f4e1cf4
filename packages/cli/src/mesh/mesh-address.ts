import { UsageError } from "../cli-error.ts";

/** The admin port of one service. The host may stand for several processes. */
export interface AdminAddress {
  /** "gateway", "enricher", "dedup" or "store". */
  service: string;
  /** Such as "http://127.0.0.1:24692". */
  url: string;
}

/** How a mesh is reached, as far as it is known. */
export interface MeshAddress {
  /** The gateway's gRPC door, such as "http://127.0.0.1:24690". */
  gateway?: Located<string>;
  /** The tenant's key. */
  key?: Located<string>;
  admin?: Located<AdminAddress[]>;
}

/** A value and where it came from, for a person: "--gateway", "CHOWHOUND_KEY" or the path of a file. */
export interface Located<T> {
  value: T;
  from: string;
}

/**
 * "HOST:PORT" or an http(s) URL as a URL without a path.
 *
 * @throws {UsageError} naming `from`
 */
export function parseAddress(text: string, from: string): string {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const url = URL.parse(hasScheme ? text : `http://${text}`);
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (
    url === null ||
    !isHttp ||
    url.hostname === "" ||
    (!hasScheme && url.port === "" && !text.endsWith(":80"))
  )
    throw new UsageError(
      `${from}: ${JSON.stringify(text)} is no address; give HOST:PORT, or a URL with http:// or https://`,
    );
  return url.origin;
}

/**
 * "store=HOST:PORT,HOST:PORT,dedup=HOST:PORT" as addresses. An address without a service belongs to the service before it.
 *
 * @throws {UsageError} naming `from`
 */
export function parseAdminAddresses(text: string, from: string): AdminAddress[] {
  let service = "";
  return text.split(",").map((item) => {
    const [, name, address = ""] = /^(?:\s*([\w-]+)\s*=)?(.*)$/.exec(item) ?? [];
    service = name ?? service;
    if (service === "")
      throw new UsageError(`${from}: ${JSON.stringify(item)} names no service; give SERVICE=HOST:PORT`);
    return { service, url: parseAddress(address.trim(), from) };
  });
}
