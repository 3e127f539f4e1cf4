import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TailRequestSchema } from "@chowhound/shared/contracts/chowhound/v1/tap_service";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { callAt } from "../batch/batch-columns.ts";
import { type SampleRecord, sampleBatch } from "../testing/sample-batches.ts";
import { tapBatch } from "./batch-source.ts";
import { MAX_READERS, Tap } from "./tap.ts";
import { BUFFER_LIMITS, CONTENT_BYTES_PER_SECOND, type TapReader } from "./tap-reader.ts";
import type { TapSource } from "./tap-source.ts";

type Wish = MessageInitShape<typeof TailRequestSchema>;

/** A tap whose clock stands still until it is moved. */
function tapForTest({ random = Math.random } = {}) {
  const clock = { ms: 0 };
  const tap = new Tap({ now: () => clock.ms, random });
  const watch = (wish: Wish = {}, on: { onPending?(): void; onClosed?(): void } = {}): TapReader =>
    tap.watch(create(TailRequestSchema, wish), { onPending() {}, onClosed() {}, ...on });
  return { tap, clock, watch };
}

/** Records as the enricher shows them. */
function source(records: readonly SampleRecord[], traceparent = ""): TapSource {
  return tapBatch(sampleBatch({ records, traceparent }), {
    outcomeOf: (_, cause) => (cause === undefined ? "enriched" : "dead_lettered"),
  });
}

/** So many records that fail the test where anybody looks at one. */
function unseen(count: number): TapSource {
  const look = () => expect.fail("looked at");
  return { count, tenantAt: look, outcomeAt: look, originalAt: look, factsAt: look };
}

const many = (count: number, record: SampleRecord = {}) => Array.from({ length: count }, () => record);
const taken = (reader: TapReader) => {
  const { records, skipped } = reader.take() ?? { records: [], skipped: 0n };
  return { shown: records.length, skipped: Number(skipped) };
};

describe("what is shown", () => {
  test("tells what the stage knows, and no contents where none are asked for", () => {
    const { tap, watch } = tapForTest();
    const reader = watch();
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    const records: SampleRecord[] = [
      { dataId: "a", pipelineVersion: 7, enrichment: { dataId: "derived" } },
      { dataId: "b", tenantId: "globex", dead: { reason: "step_error", detail: "2:map" } },
    ];
    tap.show(source(records, `00-${traceId}-b7ad6b7169203331-01`));
    const common = { sourceType: "forum", sourceId: "town-square", traceId, data: "", metadataJson: "" };
    expect(reader.take()).toMatchObject({
      records: [
        {
          ...common,
          tenantId: "acme",
          dataId: "derived",
          outcome: "enriched",
          reason: "",
          pipelineVersion: 7n,
        },
        {
          ...common,
          tenantId: "globex",
          dataId: "b",
          outcome: "dead_lettered",
          reason: "step_error",
          detail: "2:map",
        },
      ],
      skipped: 0n,
    });
    expect(reader.take()).toBeUndefined();
  });

  test("holds the beginning of the contents, as the pipeline left them, where they are asked for", () => {
    const { tap, watch } = tapForTest();
    const reader = watch({ maxContentBytes: 8 });
    tap.show(
      source([
        { data: "short", metadata: { k: 1 } },
        { data: "Grüße, Welt", metadata: { longer: "than that" } },
        { data: "secret", metadata: { k: "secret" }, enrichment: { data: "", metadataJson: "{}" } },
      ]),
    );
    expect(reader.take()!.records.map(({ data, metadataJson }) => [data, metadataJson])).toEqual([
      ["short", '{"k":1}'],
      ["Grüße,", '{"longer'],
      ["", "{}"],
    ]);
  });

  test("is only what matches, in its order, and what doesn't is not counted", () => {
    const { tap, watch } = tapForTest();
    const tenants = fc.constantFrom("acme", "globex");
    const names = fc.constantFrom("a", "b");
    const records = fc.array(
      fc.record({
        tenantId: tenants,
        sourceType: names,
        sourceId: names,
        dead: fc.constantFrom(true, false),
      }),
      { minLength: 1, maxLength: 20 },
    );
    const orAll = (of: fc.Arbitrary<string>) => fc.oneof(fc.constant(""), of);
    const wishes = fc.record({
      tenantId: orAll(tenants),
      sourceType: orAll(names),
      sourceId: orAll(names),
      outcomes: fc.uniqueArray(fc.constantFrom("enriched", "dead_lettered")),
    });
    fc.assert(
      fc.property(records, wishes, (list, wish) => {
        const reader = watch(wish);
        tap.show(
          source(
            list.map(({ dead, ...record }) => ({
              ...record,
              ...(dead && { dead: { reason: "step_error" } }),
            })),
          ),
        );
        const expected = list.filter(
          (record) =>
            ["", record.tenantId].includes(wish.tenantId) &&
            ["", record.sourceType].includes(wish.sourceType) &&
            ["", record.sourceId].includes(wish.sourceId) &&
            (wish.outcomes.length === 0 ||
              wish.outcomes.includes(record.dead ? "dead_lettered" : "enriched")),
        );
        const { records = [], skipped = 0n } = reader.take() ?? {};
        tap.leave(reader);
        expect(records.map(({ tenantId, sourceType, sourceId }) => [tenantId, sourceType, sourceId])).toEqual(
          expected.map(({ tenantId, sourceType, sourceId }) => [tenantId, sourceType, sourceId]),
        );
        expect(skipped).toBe(0n);
      }),
      { numRuns: 50 },
    );
  });

  test("is a record that nobody can read, too, whatever its bytes are", () => {
    const { tap, watch } = tapForTest();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const reader = watch({ maxContentBytes: 10 });
        const batch = sampleBatch({ records: [{ dead: { reason: "undecodable_record" } }] });
        batch.originals[0] = bytes;
        tap.show(tapBatch(batch, { outcomeOf: () => "dead_lettered" }));
        tap.leave(reader);
        expect(reader.take()!.records).toMatchObject([
          { reason: "undecodable_record", tenantId: callAt(batch, 0).tenantId },
        ]);
      }),
    );
  });

  test("is a sample of it where one is asked for; the rest is not counted as skipped", () => {
    let draw = 0;
    const { tap, watch } = tapForTest({ random: () => (draw++ % 10) / 10 });
    const reader = watch({ sampleRatio: 0.3, maxRecordsPerSecond: 1_000 });
    tap.show(source(many(100)));
    expect(taken(reader)).toEqual({ shown: 30, skipped: 0 });
  });
});

describe("what is skipped", () => {
  test("is what goes beyond the rate, until the second is over; it is not looked at", () => {
    const { tap, clock, watch } = tapForTest();
    const reader = watch({ maxRecordsPerSecond: 10 });
    tap.show(source(many(15)));
    tap.show(unseen(7));
    expect(taken(reader)).toEqual({ shown: 10, skipped: 12 });
    clock.ms = 999;
    tap.show(unseen(1));
    clock.ms = 1_000;
    tap.show(source(many(3)));
    expect(taken(reader)).toEqual({ shown: 3, skipped: 1 });
  });

  test("does not depend on others' rates", () => {
    const { tap, watch } = tapForTest();
    const slow = watch({ maxRecordsPerSecond: 1 });
    const fast = watch({ maxRecordsPerSecond: 1_000 });
    tap.show(source(many(50)));
    expect([taken(slow), taken(fast)]).toEqual([
      { shown: 1, skipped: 49 },
      { shown: 50, skipped: 0 },
    ]);
  });

  test("is what a reader who doesn't take would have to have held, in records", () => {
    const { tap, clock, watch } = tapForTest();
    const reader = watch({ maxRecordsPerSecond: 1_000 });
    for (; clock.ms < 5_000; clock.ms += 1_000) tap.show(source(many(400)));
    expect(taken(reader)).toEqual({ shown: BUFFER_LIMITS.records, skipped: 1_000 });
    tap.show(source(many(1)));
    expect(taken(reader)).toEqual({ shown: 1, skipped: 0 });
  });

  test("and in bytes", () => {
    const { tap, watch } = tapForTest();
    const reader = watch({ maxRecordsPerSecond: 1_000, maxContentBytes: 4_096 });
    tap.show(source(many(600, { data: "x".repeat(4_096) })));
    const { shown, skipped } = taken(reader);
    expect(shown).toBeLessThanOrEqual(BUFFER_LIMITS.bytes / 4_096 + 1);
    expect(shown).toBeGreaterThan(200);
    expect(shown + skipped).toBe(600);
  });

  test("is what would cost too much to read for its contents", () => {
    const { tap, watch } = tapForTest();
    const reader = watch({ maxRecordsPerSecond: 1_000, maxContentBytes: 1 });
    const bytes = 256 * 1024;
    tap.show(source(many(20, { data: "x".repeat(bytes) })));
    expect(taken(reader)).toEqual({
      shown: CONTENT_BYTES_PER_SECOND / bytes,
      skipped: 20 - CONTENT_BYTES_PER_SECOND / bytes,
    });
    const blind = watch({ maxRecordsPerSecond: 1_000 });
    tap.show(source(many(20, { data: "x".repeat(bytes) })));
    expect(taken(blind)).toEqual({ shown: 20, skipped: 0 });
  });

  test("and what is shown add up to what passed, whenever it is taken", () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ show: fc.nat({ max: 30 }) }),
        fc.record({ wait: fc.nat({ max: 1_500 }) }),
        fc.constant({ take: true }),
      ),
    );
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 40 }), (list, rate) => {
        const { tap, clock, watch } = tapForTest();
        const reader = watch({ maxRecordsPerSecond: rate });
        let [passed, shown, skipped] = [0, 0, 0];
        const take = (): void => {
          const now = taken(reader);
          shown += now.shown;
          skipped += now.skipped;
        };
        for (const step of list) {
          if ("show" in step) {
            tap.show(source(many(step.show)));
            passed += step.show;
          } else if ("wait" in step) clock.ms += step.wait;
          else take();
        }
        take();
        expect(shown + skipped).toBe(passed);
        expect(shown).toBeLessThanOrEqual(rate * (Math.floor(clock.ms / 1_000) + 1));
      }),
      { numRuns: 50 },
    );
  });
});

describe("watching", () => {
  test("opens the tap, and leaving closes it", () => {
    const { tap, watch } = tapForTest();
    expect(tap.isOpen).toBe(false);
    const readers = [watch(), watch()];
    expect(tap.isOpen).toBe(true);
    for (const reader of readers) tap.leave(reader);
    expect(tap.isOpen).toBe(false);
  });

  test("is told once a batch that something is waiting, and never of nothing", () => {
    const { tap, watch } = tapForTest();
    const [onPending, onNothing] = [vi.fn(), vi.fn()];
    watch({}, { onPending });
    watch({ tenantId: "nobody" }, { onPending: onNothing });
    tap.show(source(many(5)));
    expect(onPending).toHaveBeenCalledTimes(1);
    expect(onNothing).not.toHaveBeenCalled();
  });

  test("is for a few at a time", () => {
    const { tap, watch } = tapForTest();
    const [first] = Array.from({ length: MAX_READERS }, () => watch());
    expect(() => watch()).toThrow(expect.objectContaining({ reason: "too_many_taps" }));
    tap.leave(first!);
    watch();
  });

  test("ends for all when the tap is closed, and nobody comes in any more", () => {
    const { tap, watch } = tapForTest();
    const onClosed = vi.fn();
    const readers = [watch({}, { onClosed }), watch({}, { onClosed })];
    tap.show(source(many(1)));
    tap.close();
    expect(onClosed).toHaveBeenCalledTimes(2);
    expect(tap.isOpen).toBe(false);
    expect(readers.map(taken)).toEqual(many(2).map(() => ({ shown: 1, skipped: 0 })));
    expect(() => watch()).toThrow(expect.objectContaining({ reason: "shutting_down" }));
  });
});
