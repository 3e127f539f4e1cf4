/** A stretch of a text: from `start` up to, not including, `end`, in UTF-16 units. */
export interface Span {
  readonly start: number;
  readonly end: number;
}
/** Finds what is to be redacted. Takes time linear in the length of the text. */
export type Detector = (text: string) => Span[];

/**
 * The detectors a pipeline can name. When in doubt they redact. Their regular expressions stay linear because every
 * repetition is bounded or can't match the same text in two ways; keep it so.
 */
export const detectors = {
  email: findEmails,
  credit_card: findCreditCards,
  ipv4: findIpv4,
  phone: findPhones,
  iban: findIbans,
} as const satisfies Record<string, Detector>;

// Any letter of any script; surrogates stand for letters outside of the basic plane.
const localPart = /[\p{L}\p{N}\p{M}\p{Cs}.!#$%&'*+\-/=?^_`{|}~]/u;
const domainPart = /[\p{L}\p{N}\p{M}\p{Cs}.-]/u;
// A dot and two letters, so that `package@1.2.3` isn't an address; `.xn--` starts a top-level domain in other scripts.
const topLevelDomain = /\.(?:[\p{L}\p{Cs}]{2}|xn--)/iu;

function findEmails(text: string): Span[] {
  const spans: Span[] = [];
  // Outwards from each @: what lies between two of them is looked at twice at most.
  for (let at = text.indexOf("@"); at !== -1; at = text.indexOf("@", at + 1)) {
    let start = at;
    while (start > 0 && localPart.test(text[start - 1]!)) start -= 1;
    let end = at + 1;
    while (end < text.length && domainPart.test(text[end]!)) end += 1;
    if (start < at && topLevelDomain.test(text.slice(at + 1, end))) spans.push({ start, end });
  }
  return spans;
}

const digitGroups = /\d+(?:[ \u00a0-]\d+)*/g;
const maxCardDigits = 19;
const minCardDigits = 13;

function findCreditCards(text: string): Span[] {
  const spans: Span[] = [];
  for (const { 0: run, index } of text.matchAll(digitGroups)) {
    if (run.length < minCardDigits) continue;
    const groups = Array.from(run.matchAll(/\d+/g), (group) => ({
      digits: group[0],
      start: index + group.index,
    }));
    // A number may stand next to others ("2024 4111 1111 1111 1111"): try every sequence of whole groups.
    for (const [first, { start }] of groups.entries()) {
      let digits = "";
      for (let last = first; last < groups.length; last += 1) {
        const group = groups[last]!;
        if (digits.length + group.digits.length > maxCardDigits) break;
        digits += group.digits;
        if (isCardNumber(digits)) spans.push({ start, end: group.start + group.digits.length });
      }
    }
  }
  return spans;
}

function isCardNumber(digits: string): boolean {
  return digits.length >= minCardDigits && /^[2-6]/.test(digits) && passesLuhn(digits);
}

function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i += 1) {
    const digit = Number(digits[digits.length - 1 - i]);
    const doubled = i % 2 === 0 ? digit : digit * 2;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

const dottedQuad = /(?<!\d|\d\.)\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)/g;

function findIpv4(text: string): Span[] {
  return spansOf(text, dottedQuad).filter(({ start, end }) =>
    text
      .slice(start, end)
      .split(".")
      .every((octet) => Number(octet) <= 255),
  );
}

const phoneNumbers = [
  // +49 (0)30 1234567, 0049-30-1234567: 7 to 15 digits
  /(?:\+|(?<!\d)00)[1-9](?:[ ().\-/]{0,3}\d){6,14}(?!\d)/g,
  // (415) 555-2671, 415-555-2671
  /(?:\(\d{3}\) ?|(?<!\d)\d{3}[ .-])\d{3}[ .-]\d{4}(?!\d)/g,
  // 030 1234567, (020) 7946 0958, 0171/1234567
  /(?<![\d.-])\(?0\d(?:[ ()\-/]{0,2}\d){7,11}(?!\d)/g,
];

function findPhones(text: string): Span[] {
  return phoneNumbers.flatMap((pattern) => spansOf(text, pattern));
}

const ibanStart = /(?<![A-Z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}/gi;
const minIbanLength = 15;

function findIbans(text: string): Span[] {
  const spans: Span[] = [];
  ibanStart.lastIndex = 0;
  for (let match = ibanStart.exec(text); match !== null; match = ibanStart.exec(text)) {
    const length = ibanLength(match[0]);
    if (length > 0) spans.push({ start: match.index, end: match.index + length });
    // What looked like the start of one may have swallowed the start of another.
    ibanStart.lastIndex = match.index + Math.max(length, 1);
  }
  return spans;
}

/** The length of the longest beginning of `candidate` with right check digits; 0 if there is none. */
function ibanLength(candidate: string): number {
  const countryAndCheckDigits = [...candidate.slice(0, 4)];
  let remainder = 0;
  let characters = countryAndCheckDigits.length;
  let longest = 0;
  for (let i = characters; i < candidate.length; i += 1) {
    const character = candidate[i]!;
    if (character === " " || character === "-") continue;
    characters += 1;
    remainder = appendModulo97(remainder, character);
    if (characters >= minIbanLength && countryAndCheckDigits.reduce(appendModulo97, remainder) === 1)
      longest = i + 1;
  }
  return longest;
}

/** The remainder by 97 of a number after its decimal digits got those of a character: A is 10, Z is 35. */
function appendModulo97(remainder: number, character: string): number {
  const value = Number.parseInt(character, 36);
  return (remainder * (value < 10 ? 10 : 100) + value) % 97;
}

function spansOf(text: string, pattern: RegExp): Span[] {
  return Array.from(text.matchAll(pattern), (match) => ({
    start: match.index,
    end: match.index + match[0].length,
  }));
}
