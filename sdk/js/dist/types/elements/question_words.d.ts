/** What the element of a label says beside the words of the label and those that all elements share. */
declare const en: {
    yes: string;
    no: string;
    nothing: string;
    nothingHint: string;
    offScale: string;
    offScaleHint: string;
    offStepHint: string;
    cannotAsk: string;
    cannotAskHint: string;
};
export type QuestionWord = keyof typeof en;
export declare const QUESTION_WORDS: Record<"en" | "zh-Hans", Record<QuestionWord, string>>;
export {};
