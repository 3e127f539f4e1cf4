import { hash } from "node:crypto";
import type { ListRecordsRequest } from "@chowhound/shared/contracts/chowhound/v1/query_service";
import { CallError } from "@chowhound/shared/errors/call-error";

/** Where a record stands in a listing. */
export interface ListPosition {
  sourceType: string;
  sourceId: string;
  dataId: string;
}

/**
 * The token of the page behind `last`: its key, and which listing it is of. It proves nothing and need not: whatever it
 * says, the listing is of the tenant that asks.
 */
export function pageTokenAfter(last: ListPosition, tenantId: string, request: ListRecordsRequest): string {
  const token = [listingOf(tenantId, request), last.sourceType, last.sourceId, last.dataId];
  return Buffer.from(JSON.stringify(token)).toString("base64url");
}

/**
 * The position behind which the page begins; undefined for the first page. Throws CallError "invalid_query" where the token is
 * not one of this listing.
 */
export function readPageToken(tenantId: string, request: ListRecordsRequest): ListPosition | undefined {
  if (request.pageToken === "") return undefined;
  const parts = parse(request.pageToken);
  if (parts === undefined) throw invalid("is no next_page_token; send it exactly as it came");
  const [listing, sourceType, sourceId, dataId] = parts;
  if (listing !== listingOf(tenantId, request))
    throw invalid("is of a listing with other filters; keep them as they were, or leave it empty");
  return { sourceType, sourceId, dataId };
}

type Parts = [listing: string, sourceType: string, sourceId: string, dataId: string];

function parse(token: string): Parts | undefined {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(token, "base64url").toString());
  } catch {
    return undefined;
  }
  const isWhole = Array.isArray(parts) && parts.length === 4 && parts.every(isStorable);
  return isWhole ? (parts as Parts) : undefined;
}

/** PostgreSQL's text has no U+0000. */
function isStorable(part: unknown): boolean {
  return typeof part === "string" && !part.includes("\0");
}

/** Tells listings apart: whose, and with which filters. */
function listingOf(tenantId: string, request: ListRecordsRequest): string {
  const { sourceType, sourceId, storedSince, storedBefore } = request;
  const times = [storedSince, storedBefore].map((time) => `${time?.seconds}.${time?.nanos}`);
  return hash("sha256", JSON.stringify([tenantId, sourceType, sourceId, ...times]), "base64url").slice(0, 12);
}

function invalid(what: string): CallError {
  return new CallError("invalid_query", `page_token ${what}`, { field: "page_token" });
}
