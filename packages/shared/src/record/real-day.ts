/**
 * Whether the day at the beginning of a time in RFC 3339 is in the calendar; true where there is none to look at. JavaScript, and with it
 * the protobuf library, takes February 30 for March 2.
 */
export function hasRealDay(time: string): boolean {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)/.exec(time) ?? [];
  if (year === undefined) return true;
  return new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCMonth() === Number(month) - 1;
}
