/** The time as RFC 3339, later each time it is asked for: of two records with one key, the one that is read later wins. */
export function createClock(): () => string {
  let lastUs = 0;
  return () => {
    lastUs = Math.max(lastUs + 1, Date.now() * 1000);
    const seconds = new Date(Math.floor(lastUs / 1000)).toISOString().slice(0, 19);
    return `${seconds}.${String(lastUs % 1_000_000).padStart(6, "0")}Z`;
  };
}
