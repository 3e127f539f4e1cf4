// eld ships types for its root only, and those leave out the threshold.
declare module "eld/extrasmall" {
  export const eld: {
    detect(text: string): {
      /** ISO 639-1 code, or "" if nothing was detected. */
      readonly language: string;
      /** 0 to 1 per language code. */
      getScores(): Readonly<Record<string, number>>;
      isReliable(): boolean;
    };
  };
}
