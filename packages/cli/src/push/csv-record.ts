import type { JsonObject } from "@bufbuild/protobuf";
import { IngestionDataSchema } from "@chowhound/shared/contracts/chowhound/v1/ingestion_data";
import { UsageError } from "../cli-error.ts";
import { CsvError, splitCells } from "./csv-cells.ts";
import { parseJson } from "./parse-json.ts";
import { malformed, type Reading } from "./source-record.ts";

export const OPEN_FIELDS = ["metadata", "attributes"] as const;
/** In which form the times of a CSV file are. */
export const TIME_FORMS = ["rfc3339", "epoch-seconds", "epoch-millis"] as const;
export type TimeForm = (typeof TIME_FORMS)[number];

export interface CsvOptions {
  /** One character. */
  delimiter: string;
  /** Fields that columns of other names hold: the column by the field's protobuf name. */
  columns: ReadonlyMap<string, string>;
  /** Where columns that are no field go. */
  columnsTo: (typeof OPEN_FIELDS)[number];
  times: TimeForm;
}

/** The fields of a record by their names in both spellings. */
const FIELDS = new Map(
  IngestionDataSchema.fields.flatMap(({ name, jsonName }) => [
    [name, name],
    [jsonName, name],
  ]),
);
export const FIELD_NAMES: readonly string[] = IngestionDataSchema.fields.map(({ name }) => name);
const JSON_FIELDS = new Set(["metadata", "attributes", "raw_payload"]);
const TIME_FIELDS = new Set(["created_at", "updated_at"]);

/** Puts the cell of one column into a record. Throws CsvError. */
type PutCell = (record: JsonObject, cell: string) => void;

/**
 * Reads the records of a CSV file one after the other; the first is the header. A column with the name of a field, in either
 * spelling, is that field; `metadata.x` and `attributes.x` are a key of these; any other column is a key of `columnsTo`. Empty
 * cells are left out. Throws UsageError where the header can't be used.
 */
export function createCsvParser(options: CsvOptions): (text: string) => Reading | undefined {
  let columns: PutCell[] | undefined;
  return (text) => {
    let cells: string[];
    try {
      cells = splitCells(text, options.delimiter);
    } catch (error) {
      if (!(error instanceof CsvError)) throw error;
      // The parser has seen one record alone: its line numbers mean nothing.
      const why = error.message.replace(/ at line \d+/, "");
      if (columns === undefined) throw new UsageError(`the header of the CSV file: ${why}`);
      return malformed(why);
    }
    if (columns === undefined) {
      columns = readHeader(cells, options);
      return undefined;
    }
    if (cells.length !== columns.length) {
      return malformed(
        `${cells.length} cells, but the header has ${columns.length}; quote cells that hold the delimiter ${JSON.stringify(options.delimiter)}`,
      );
    }
    const record: JsonObject = {};
    try {
      for (let i = 0; i < cells.length; i++) if (cells[i] !== "") columns[i]!(record, cells[i]!);
    } catch (error) {
      if (error instanceof CellError) return malformed(error.message, error.field);
      throw error;
    }
    return { json: record };
  };
}

function readHeader(names: readonly string[], { columns, columnsTo, times }: CsvOptions): PutCell[] {
  const known = new Map(names.map((name, i) => [name.trim(), i]));
  if (known.size !== names.length)
    throw new UsageError("the header of the CSV file has two columns of the same name; give each its own");
  for (const [field, column] of columns) {
    if (!known.has(column))
      throw new UsageError(
        `--column ${field}=${column}: there is no column ${JSON.stringify(column)}; the header has ${[...known.keys()].join(", ")}`,
      );
  }
  const fieldByColumn = new Map([...columns].map(([field, column]) => [column, field]));
  for (const [field, column] of columns) {
    const other = fieldByColumn.get(column)!;
    if (other !== field)
      throw new UsageError(
        `--column ${field}=${column} and --column ${other}=${column}: a column is one field; double it in the file`,
      );
  }
  const taken = new Map<string, string>();
  return names.map((untrimmed) => {
    const name = untrimmed.trim();
    const field =
      fieldByColumn.get(name) ?? (columns.has(FIELDS.get(name) ?? "") ? undefined : FIELDS.get(name));
    if (field === undefined) return putKey(name, columnsTo);
    if (taken.has(field))
      throw new UsageError(
        `the columns ${taken.get(field)} and ${name} are both ${field}; rename one of them`,
      );
    taken.set(field, name);
    return putField(field, times);
  });
}

function putField(field: string, times: TimeForm): PutCell {
  if (JSON_FIELDS.has(field))
    return (record, cell) => {
      const value = parseObject(field, cell);
      // Columns of its keys may have come before.
      record[field] =
        field === "raw_payload" ? value : { ...value, ...(record[field] as JsonObject | undefined) };
    };
  if (TIME_FIELDS.has(field))
    return (record, cell) => {
      record[field] = times === "rfc3339" ? cell.trim() : fromEpoch(field, cell.trim(), times);
    };
  return (record, cell) => {
    record[field] = cell;
  };
}

function putKey(column: string, columnsTo: CsvOptions["columnsTo"]): PutCell {
  const [, prefix, rest] = /^(metadata|attributes)\.(.+)$/s.exec(column) ?? [];
  const field = prefix ?? columnsTo;
  const key = rest ?? column;
  return (record, cell) => {
    record[field] ??= {};
    // Not an assignment: the key may be __proto__.
    Object.defineProperty(record[field], key, {
      value: cell,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  };
}

function parseObject(field: string, cell: string): JsonObject {
  const reading = parseJson(cell);
  if ("rejection" in reading) throw new CellError(field, `${field}: ${reading.rejection.message}`);
  const value = reading.json;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new CellError(field, `${field} is not a JSON object; a column with that name holds one`);
}

/** A count of seconds, with up to nine decimals, or of milliseconds since 1970, in RFC 3339. */
function fromEpoch(field: string, cell: string, times: TimeForm): string {
  const match = (times === "epoch-millis" ? /^(-?\d{1,15})$/ : /^(-?\d{1,12})(?:\.(\d{1,9}))?$/).exec(cell);
  const number = Number(match?.[1]);
  const date = new Date(times === "epoch-millis" ? number : number * 1000);
  const isBeforeWithFraction = number < 0 && match?.[2] !== undefined;
  if (Number.isNaN(date.getTime()) || isBeforeWithFraction)
    throw new CellError(
      field,
      `${field} is not a time in ${times}, such as ${times === "epoch-millis" ? "1767225600000" : "1767225600"}`,
    );
  const text = date.toISOString();
  return match?.[2] === undefined ? text : text.replace(".000Z", `.${match[2].padEnd(9, "0")}Z`);
}

/** A cell can't be what its column says. */
class CellError extends Error {
  override readonly name = "CellError";
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}
