/** Each round begins with another item, so that none always comes first. */
export function turned<T>(items: readonly T[], by: number): T[] {
  return items.map((_, i) => items[(i + by) % items.length]!);
}
