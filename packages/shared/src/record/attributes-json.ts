/** The canonical JSON of attributes: keys sorted by UTF-16 code units, no spaces. */
export function attributesToJson(attributes: Record<string, string>): string {
  const keys = Object.keys(attributes);
  if (keys.length === 0) return "{}";
  keys.sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${JSON.stringify(attributes[key])}`).join(",")}}`;
}
