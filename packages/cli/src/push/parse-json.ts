import { malformed, type Reading } from "./source-record.ts";

/** The escape of a UTF-16 surrogate; "\\ud800" is none. */
const SURROGATE_ESCAPE = /(?:^|[^\\])(?:\\\\)*\\ud[89a-f]/i;

/** Reads one record, or a part of one, in its JSON form. */
export function parseJson(text: string): Reading {
  let json: Reading & { json: unknown };
  try {
    json = { json: JSON.parse(text) };
  } catch (error) {
    return malformed(`not JSON: ${(error as Error).message}`);
  }
  // UTF-8 has no halves of surrogate pairs, but JSON can name them; only they are escaped when written again.
  if (SURROGATE_ESCAPE.test(text) && SURROGATE_ESCAPE.test(JSON.stringify(json.json)))
    return {
      rejection: {
        reason: "invalid_utf8",
        field: "",
        message:
          "the record holds half a surrogate pair (an escape such as \\ud83d alone), which UTF-8 has not; correct it",
      },
    };
  return json;
}
