/** One bar. */
export interface Bar {
  label: string;
  value: number;
  /** The value as it is written beside the bar. */
  text: string;
}

const WIDTH = 720;
const LABEL_WIDTH = 250;
const VALUE_WIDTH = 150;
const BAR_HEIGHT = 20;
const STEP = 30;
const TOP = 48;
const BOTTOM = 12;
const FONT = "font-family='system-ui, sans-serif' font-size='13'";
/** Readable on white and on black. */
const INK = "#768390";
const FILL = "#3f83e8";

/** Bars from zero on, as an SVG picture. */
export function drawBars(title: string, bars: readonly Bar[]): string {
  const greatest = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH;
  const lines = bars.flatMap(({ label, value, text }, i) => {
    const top = TOP + i * STEP;
    const length = Math.max(1, (value / greatest) * room);
    const middle = top + BAR_HEIGHT / 2 + 4.5;
    return [
      `<text x='${LABEL_WIDTH - 8}' y='${middle}' text-anchor='end' fill='${INK}'>${escapeXml(label)}</text>`,
      `<rect x='${LABEL_WIDTH}' y='${top}' width='${length.toFixed(1)}' height='${BAR_HEIGHT}' rx='2' fill='${FILL}'/>`,
      `<text x='${(LABEL_WIDTH + length + 8).toFixed(1)}' y='${middle}' fill='${INK}'>${escapeXml(text)}</text>`,
    ];
  });
  const height = TOP + bars.length * STEP + BOTTOM;
  return [
    `<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 ${WIDTH} ${height}' width='${WIDTH}' height='${height}' role='img' ${FONT}>`,
    `<title>${escapeXml(title)}</title>`,
    `<text x='12' y='26' font-weight='600' fill='${INK}'>${escapeXml(title)}</text>`,
    ...lines,
    "</svg>",
    "",
  ].join("\n");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
