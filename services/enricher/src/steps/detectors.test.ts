import { describe, expect, test } from "vitest";
import { type Detector, detectors } from "./detectors.ts";

function found(detector: Detector, text: string): string[] {
  return detector(text).map(({ start, end }) => text.slice(start, end));
}

describe.each<[keyof typeof detectors, [string, string[]][]]>([
  [
    "email",
    [
      ["write to ann.o'hara+x@mail.example.co.uk, please", ["ann.o'hara+x@mail.example.co.uk"]],
      ["<josé@exämple.com>;b@x.org", ["josé@exämple.com", "b@x.org"]],
      ["mail@xn--bcher-kva.xn--p1ai", ["mail@xn--bcher-kva.xn--p1ai"]],
      ["left-pad@1.3.0 and user@localhost and @home and a@", []],
    ],
  ],
  [
    "credit_card",
    [
      ["4111 1111 1111 1111", ["4111 1111 1111 1111"]],
      ["on 2024-01-02 4111-1111-1111-1111.", ["4111-1111-1111-1111"]],
      ["378282246310005 and 4111111111111112", ["378282246310005"]],
      ["1234567890123 0000000000000000", []],
    ],
  ],
  [
    "ipv4",
    [
      ["from 10.0.0.1, 255.255.255.255.", ["10.0.0.1", "255.255.255.255"]],
      ["256.1.1.1 1.2.3 1.2.3.4.5 1.2.3.4567", []],
    ],
  ],
  [
    "phone",
    [
      ["call +49 (0)30 1234567 or (415) 555-2671", ["+49 (0)30 1234567", "(415) 555-2671"]],
      ["0171/1234567", ["0171/1234567"]],
      ["0049 30 1234567", ["0049 30 1234567", "0049 30 1234567"]],
      ["version 1.20.3, 2024-01-02, 12345", []],
    ],
  ],
  [
    "iban",
    [
      ["DE89 3704 0044 0532 0130 00 please", ["DE89 3704 0044 0532 0130 00"]],
      ["gb82west12345698765432", ["gb82west12345698765432"]],
      ["XX12 DE89370400440532013000", ["DE89370400440532013000"]],
      ["DE89370400440532013001", []],
    ],
  ],
])("%s", (name, cases) => {
  test.each(cases)("%s", (text, expected) => {
    expect(found(detectors[name], text)).toEqual(expected);
  });
});

describe("time grows with the length of the text, not with its square", () => {
  const bait = [
    "a",
    "@",
    "a@",
    "a.",
    "@a.",
    "1",
    "1 ",
    "4 111-",
    "1.",
    "+1",
    "0(",
    "(012) ",
    "+ ",
    "DE12 ",
    "AB12",
    "é",
  ];
  test.each(Object.entries(detectors))("%s", (_, detect) => {
    for (const piece of bait) {
      const text = piece.repeat(Math.ceil(200_000 / piece.length));
      const startedAtMs = performance.now();
      detect(text);
      // A quadratic one would take minutes.
      expect(performance.now() - startedAtMs, `on ${piece}…`).toBeLessThan(3000);
    }
  });
});
