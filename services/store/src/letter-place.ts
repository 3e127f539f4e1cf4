import type { LetterPlace } from "./dead-letter-archive.ts";
import { formatLetterId, parseLetterId } from "./letter-id.ts";
import { invalid } from "./letter-selection.ts";

/** A page token. */
export function formatPlace(place: LetterPlace): string {
  return Buffer.from(`${place.acceptedAtUs}/${formatLetterId(place)}`).toString("base64url");
}

/** Throws CallError where the text is no page token. */
export function readPlace(token: string): LetterPlace {
  const [, acceptedAtUs, id] = /^(-?\d{1,17})\/(.+)$/.exec(Buffer.from(token, "base64url").toString()) ?? [];
  const letter = parseLetterId(id ?? "");
  if (acceptedAtUs !== undefined && letter !== undefined) return { acceptedAtUs, ...letter };
  throw invalid("page_token", "page_token is none of this list; take next_page_token as it came");
}
