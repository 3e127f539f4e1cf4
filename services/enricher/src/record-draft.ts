import { isDeepStrictEqual } from "node:util";
import type { FieldPath, WritablePath } from "./steps/field-path.ts";

/** Any JSON value. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
/** A JSON object; never changed in place. */
export type JsonObject = { readonly [key: string]: JsonValue };

/** What a pipeline may change of a record. */
export interface RecordContent {
  readonly dataId: string;
  readonly data: string;
  readonly metadata: JsonObject;
  readonly metadataType: string;
  readonly lang: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** What a pipeline may read of a record, but never change. Times are microseconds since the epoch. */
export interface RecordIdentity {
  readonly tenantId: string;
  readonly uuid: string;
  readonly sourceType: string;
  readonly sourceId: string;
  readonly createdAtUs: bigint | undefined;
  readonly updatedAtUs: bigint | undefined;
}

/** Where a draft gets its record from. Each method decodes one field and is called at most once, when first needed. */
export type RecordSource = RecordIdentity & ContentSource;
type ContentSource = { readonly [Field in keyof RecordContent]: () => RecordContent[Field] };

/** The fields a pipeline gave another value, with that value. */
export type RecordChanges = Partial<RecordContent> & { readonly dropRawPayload?: true };

type LoadedContent = { -readonly [Field in keyof RecordContent]?: RecordContent[Field] };

/**
 * One record as a pipeline sees it: read lazily, written to a copy. Values are replaced, never changed in place,
 * so the original stays at hand for telling what really changed.
 */
export class RecordDraft {
  /** Set to true to leave the raw payload out of what is stored. */
  dropRawPayload = false;
  readonly #source: RecordSource;
  readonly #before: LoadedContent = {};
  readonly #now: LoadedContent = {};

  constructor(source: RecordSource) {
    this.#source = source;
  }

  get tenantId(): string {
    return this.#source.tenantId;
  }
  get uuid(): string {
    return this.#source.uuid;
  }
  get sourceType(): string {
    return this.#source.sourceType;
  }
  get sourceId(): string {
    return this.#source.sourceId;
  }
  get createdAtUs(): bigint | undefined {
    return this.#source.createdAtUs;
  }
  get updatedAtUs(): bigint | undefined {
    return this.#source.updatedAtUs;
  }
  /** RFC 3339 with microseconds, in UTC. */
  get createdAt(): string | undefined {
    return toRfc3339(this.createdAtUs);
  }
  /** RFC 3339 with microseconds, in UTC. */
  get updatedAt(): string | undefined {
    return toRfc3339(this.updatedAtUs);
  }

  /** The present value of a whole field. */
  get<Field extends keyof RecordContent>(field: Field): RecordContent[Field] {
    const known = this.#now[field];
    if (known !== undefined) return known;
    const source: ContentSource = this.#source;
    const value: RecordContent[Field] = source[field]();
    this.#before[field] = value;
    this.#now[field] = value;
    return value;
  }

  /** Replaces a whole field. */
  set<Field extends keyof RecordContent>(field: Field, value: RecordContent[Field]): void {
    this.get(field); // so that there is a value before to compare with
    this.#now[field] = value;
  }

  /** The value at a path; undefined if there is none. */
  read(path: FieldPath): JsonValue | undefined {
    switch (path.kind) {
      case "text":
        return this.get(path.field);
      case "fixed":
        return this[path.field];
      case "attributes": {
        const attributes = this.get("attributes");
        return path.name === undefined ? attributes : ownValue(attributes, path.name);
      }
      case "metadata": {
        let value: JsonValue | undefined = this.get("metadata");
        for (const key of path.keys) value = isJsonObject(value) ? ownValue(value, key) : undefined;
        return value;
      }
    }
  }

  /**
   * Writes a value at a path; objects missing on the way are made. Returns false, and writes nothing, if the value is not
   * of the field's type or if something other than an object is in the way.
   */
  write(path: WritablePath, value: JsonValue): boolean {
    switch (path.kind) {
      case "text":
        if (typeof value !== "string") return false;
        this.set(path.field, value);
        return true;
      case "attributes":
        if (path.name === undefined) {
          if (!isStringRecord(value)) return false;
          this.set("attributes", value);
        } else {
          if (typeof value !== "string") return false;
          this.set("attributes", { ...this.get("attributes"), [path.name]: value });
        }
        return true;
      case "metadata": {
        const changed = withValue(this.get("metadata"), path.keys, value);
        if (!isJsonObject(changed)) return false;
        this.set("metadata", changed);
        return true;
      }
    }
  }

  /** Removes what is at a path: strings become empty, keys and attributes go. */
  remove(path: WritablePath): void {
    switch (path.kind) {
      case "text":
        this.set(path.field, "");
        return;
      case "attributes":
        this.set("attributes", path.name === undefined ? {} : without(this.get("attributes"), path.name));
        return;
      case "metadata": {
        const lastKey = path.keys.at(-1);
        const parentPath = { ...path, keys: path.keys.slice(0, -1) };
        const parent = this.read(parentPath);
        if (lastKey === undefined) this.set("metadata", {});
        else if (isJsonObject(parent)) this.write(parentPath, without(parent, lastKey));
      }
    }
  }

  /** The fields whose value differs from the source's; undefined if none does. */
  changes(): RecordChanges | undefined {
    const changed = (Object.keys(this.#now) as (keyof RecordContent)[]).filter(
      (field) => !isDeepStrictEqual(this.#before[field], this.#now[field]),
    );
    if (changed.length === 0 && !this.dropRawPayload) return undefined;
    return {
      ...(Object.fromEntries(changed.map((field) => [field, this.#now[field]])) as Partial<RecordContent>),
      ...(this.dropRawPayload && { dropRawPayload: true }),
    };
  }
}

/** Whether a value is a JSON object (not null, not a list). */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStringRecord(value: JsonValue): value is Readonly<Record<string, string>> {
  return isJsonObject(value) && Object.values(value).every((entry) => typeof entry === "string");
}

// Own keys only: a record may well have a key named `toString`.
function ownValue<T>(object: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function without<T>(object: Readonly<Record<string, T>>, key: string): Readonly<Record<string, T>> {
  const { [key]: _removed, ...rest } = object;
  return rest;
}

/** `object` with `value` at `keys`, sharing all that is unchanged; undefined if a non-object is in the way. */
function withValue(object: JsonValue, keys: readonly string[], value: JsonValue): JsonValue | undefined {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  if (!isJsonObject(object)) return undefined;
  const child = withValue(ownValue(object, key) ?? {}, rest, value);
  return child === undefined ? undefined : { ...object, [key]: child };
}

function toRfc3339(timeUs: bigint | undefined): string | undefined {
  if (timeUs === undefined) return undefined;
  const subMs = ((timeUs % 1000n) + 1000n) % 1000n;
  const toTheMillisecond = new Date(Number((timeUs - subMs) / 1000n)).toISOString();
  return `${toTheMillisecond.slice(0, -1)}${subMs.toString().padStart(3, "0")}Z`;
}
